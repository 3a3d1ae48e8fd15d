"""The page: what was measured, on what, how to read it, and every table."""

from __future__ import annotations

from collections.abc import Iterator

from bench.records import Results
from bench.report.goals import goals_table
from bench.report.plots import PLOTS, drawn
from bench.report.tables import ciphers, measured, requests_table, table, work_table
from bench.settings import SETTINGS

PLOTS_FOLDER = "performance"

_INTRODUCTION = """\
# Performance

s3sftp and other servers took turns at the same work over the same S3 on {date}.
[Goals](#goals) compares the results with the targets, [how to read the tables](#how-to-read-the-tables)
defines the columns, and [how it was measured](#how-it-was-measured) has the machine, the versions and the
commands.
"""

_READING = """\
## How to read the tables

Each number is the median of all runs, with the minimum and maximum in brackets. The peers take turns, so a
slow moment of the machine affects all of them. Each run starts a fresh server.

- **seconds**: wall time until the client has ended, login included. **MB/s** (10⁶ bytes) and **files/s** are
  derived from it.
- **CPU s/GiB**, **CPU ms/file**: user and system time of the server and its children, from the first login
  until everything sent is stored. Client, relay and S3 are excluded, but they share the machine's cores with
  the server: throughput depends on what they leave over, CPU time is the server's own cost.
- **peak MiB**: the largest sum of the peak resident sizes of the server's processes since its start.
- **S3 requests**: counted by the relay between server and S3, from the first login on. A peer that does not
  speak S3 has none.
- **S3 connections**, **MiB to S3**, **MiB from S3**: stand in place of the requests where the server talks to
  S3 over TLS, which the relay cannot read. The bytes are those of TCP, with TLS around them.
- **PSS MiB**: proportional memory of the server's processes, which counts what they share once: at rest where
  nothing moves, otherwise the most that was seen five times a second.
- **$**: those requests at the list prices of S3 Standard in us-east-1 (PUT, COPY, POST, LIST 0.005 $ per
  1000; GET, HEAD 0.0004 $; DELETE free). Transfer and storage cost the same for all.
- **stored after**: for how long after the client's end the bucket was still incomplete. Such a server said OK
  before the data was stored, and its MB/s are those of its cache. A dash means that this never happened.
- **first byte**: from OPEN to the reply to the first READ; cold is the first file of a new server.
  **first names**: from OPENDIR to the first reply with names.
- **× best**, **× rclone**: the speed divided by that of the fastest peer in the table (among those that say
  OK only when the file is stored), and by that of `rclone serve sftp` with its defaults.
"""

_METHOD = """\
## How it was measured

`python -m bench.report` generates this page from [{file}](../bench/results/{file}).
[bench/README.md](../bench/README.md) describes the method and its limits.
"""


def page(results: Results, file: str) -> str:
    """The whole page as Markdown, results first, commands last. `file` is the name of the file of results."""
    parts = [
        _INTRODUCTION.format(date=results.about["date"]),
        *_goals(results),
        *_pictures(results),
        *_peers(results),
    ]
    parts += [_READING, "## Tables\n", *_tables(results), *_failures(results)]
    parts += [_METHOD.format(file=file), *_circumstances(results)]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def summary(results: Results) -> str:
    """For a terminal: goals and tables."""
    return "\n".join([*_goals(results), *_tables(results), *_failures(results)])


def _peers(results: Results) -> Iterator[str]:
    yield "## Peers\n"
    yield (
        table([["peer", "what it is"], *([name, text] for name, text in results.about["peers"].items())])
        + "\n"
    )


def _circumstances(results: Results) -> Iterator[str]:
    about = results.about
    machine = about["machine"]
    kind = "quick: smaller sizes, for orientation" if about["quick"] else "full"
    facts = [
        ["date", f"{about['date']} ({kind})"],
        [
            "machine",
            f"{machine['cores']} cores, {machine['processor']}, {machine['memory_gib']} GiB,"
            f" {machine['system']}; servers, clients, relay and S3 share it",
        ],
        ["versions", ", ".join(f"{name} {text}" for name, text in about["versions"].items())],
        ["options", ", ".join(f"`{name}={text}`" for name, text in about["options"].items()) or "defaults"],
    ]
    yield table([["", ""], *facts]) + "\n"
    commands = "".join(f"$ {command}\n" for command in about["command"].split("; "))
    yield f"The commands:\n\n```console\n{commands}```\n"


def _goals(results: Results) -> Iterator[str]:
    yield "## Goals\n"
    yield goals_table(results) + "\n"


def _pictures(results: Results) -> Iterator[str]:
    made = drawn(results)
    if made:
        yield "## Plots\n"
    for plot in PLOTS:
        if plot.name in made:
            yield f"![{plot.title}]({PLOTS_FOLDER}/{plot.name}.svg)\n"


def _tables(results: Results) -> Iterator[str]:
    for work, setting in measured(results):
        yield f"### {work}, {setting}\n"
        yield f"{results.about['works'][work]}. S3: {SETTINGS[setting].about}.\n"
        yield work_table(results, work, setting) + "\n"
        if agreed := ciphers(results, work, setting):
            yield agreed + "\n"
        if requests := requests_table(results, work, setting):
            yield requests + "\n"


def _failures(results: Results) -> Iterator[str]:
    failures = results.failures()
    if not failures:
        return
    yield "## Failures\n"
    for sample in failures:
        yield f"- {sample.work}, {sample.setting}, {sample.peer}, run {sample.run + 1}:\n"
        yield "".join(f"      {line}\n" for line in ("", *sample.failure.splitlines()))

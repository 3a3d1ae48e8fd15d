"""The page: what was measured, on what, how to read it, and every table."""

from __future__ import annotations

from collections.abc import Iterator

from bench.records import Results
from bench.report.goals import goals_table
from bench.report.plots import PLOTS, drawn
from bench.report.tables import measured, requests_table, table, work_table
from bench.settings import ABOUT

PLOTS_FOLDER = "performance"

_INTRODUCTION = """\
# Performance

This page is made by `python -m bench.report` from [{file}](../bench/results/{file}); how it is measured, and
what can be said against that, is in [bench/README.md](../bench/README.md).
"""

_READING = """\
## How to read it

Numbers are medians, with the least and the most of all runs in brackets. Runs take turns between the peers,
so that a slow moment of the machine meets all of them. Each run has a fresh server.

- **seconds**: wall time until the client has ended, login included. **MB/s** (10⁶ bytes) and **files/s** are
  made from it.
- **CPU s/GiB**, **CPU ms/file**: user and system time of the server and its children, from the first login
  until what was sent is stored. Client, relay and S3 are not in it, but share the machine's cores: throughput
  is also what they leave to the server; CPU time is what it really takes.
- **peak MiB**: the largest sum of the peak resident sizes of the server's processes, from its start.
- **S3 requests**: counted by the relay between server and S3, from the first login on. A peer that does not
  speak S3 has none.
- **$**: those requests at the list prices of S3 Standard in us-east-1 (PUT, COPY, POST, LIST 0.005 $ per
  1000; GET, HEAD 0.0004 $; DELETE free). Transfer and storage cost the same for all.
- **stored after**: how long after the client's end the bucket did not have everything: the server had said OK
  before, and its MB/s are those of its cache. Empty: it never did.
- **first byte**: from OPEN to the answer of the first READ; cold is the first file of a new server.
  **first names**: from OPENDIR to the first answer with names.
- **× best**, **× rclone**: speed by that of the fastest in the table (of those that say OK when the file is
  stored, not before), and of `rclone serve sftp` with its defaults.
"""


def page(results: Results, file: str) -> str:
    """The whole page as Markdown. `file` is the name of the file of results."""
    parts = [_INTRODUCTION.format(file=file), *_circumstances(results), *_goals(results)]
    parts += [_READING, *_pictures(results), "## Tables\n", *_tables(results), *_failures(results)]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def summary(results: Results) -> str:
    """For a terminal: goals and tables."""
    return "\n".join([*_goals(results), *_tables(results), *_failures(results)])


def _circumstances(results: Results) -> Iterator[str]:
    about = results.about
    machine = about["machine"]
    kind = "quick: smaller sizes, for orientation" if about["quick"] else "full"
    facts = [
        ["date", f"{about['date']} ({kind})"],
        ["command", f"`{about['command']}`"],
        [
            "machine",
            f"{machine['cores']} cores, {machine['processor']}, {machine['memory_gib']} GiB,"
            f" {machine['system']}; servers, clients, relay and S3 share it",
        ],
        ["versions", ", ".join(f"{name} {text}" for name, text in about["versions"].items())],
        ["options", ", ".join(f"`{name}={text}`" for name, text in about["options"].items()) or "defaults"],
    ]
    yield table([["", ""], *facts]) + "\n"
    yield table([["peer", "what it is"], *([name, text] for name, text in about["peers"].items())]) + "\n"


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
        yield f"{results.about['works'][work]}. S3: {ABOUT[setting]}.\n"
        yield work_table(results, work, setting) + "\n"
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

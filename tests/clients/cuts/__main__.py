"""`python -m tests.clients.cuts --megabytes 200`: cuts uploads of real clients, and lets them go on."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from testbed.s3_store import Store, new_bucket_name
from testbed.seaweed import running_seaweed
from tests.clients.cuts.cutter import CLIENTS, CUTS, Outcome, cut_and_go_on
from tests.clients.cuts.scene import cut_scene
from tests.support.client_workspace import content
from tests.support.s3_client import s3_client
from tests.support.server import Groups

_MB = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.clients.cuts", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200, help="of the file, in millions of bytes")
    parser.add_argument("--only", default="", help="the ways to cut whose name has this text")
    words = parser.parse_args()
    with running_seaweed() as store, tempfile.TemporaryDirectory() as scratch:
        outcomes = asyncio.run(_cut_all(store, Path(scratch), words.megabytes * _MB, words.only))
    _say(table(outcomes))
    if not all(outcome.is_equal for outcome in outcomes):
        _say("FAILED: a file is not what was sent")
        sys.exit(1)
    _say(f"OK: {len(outcomes)} files are equal, and none was visible before CLOSE")


async def _cut_all(store: Store, directory: Path, size: int, only: str) -> list[Outcome]:
    bucket = new_bucket_name()
    store.make_bucket(bucket)
    # the default part size, and a drain that does not wait for a line on which nothing comes any more
    options: Groups = {
        "files": {"resume": "1h"},
        "s3": {"part_bytes": None},
        "server": {"drain_timeout": "1s"},
    }
    two_workers: Groups = {"server": {"drain_timeout": "1s", "workers": 2}}
    file = directory / "x"
    file.write_bytes(await asyncio.to_thread(content, size))
    outcomes = []
    async with (
        s3_client(store, bucket) as s3,
        cut_scene(store, bucket, s3, directory, options, two_workers) as scene,
    ):
        for cut in (cut for cut in CUTS if only in cut):
            for client in CLIENTS:
                for percent in (1, 50, 99):
                    outcome = await cut_and_go_on(scene, client, cut, percent, file)
                    print(outcome, file=sys.stderr, flush=True)
                    outcomes.append(outcome)
    return outcomes


def table(outcomes: list[Outcome]) -> str:
    """The outcomes as a table of Markdown: a row for each way to cut and client."""
    lines = [
        "| cut | client | sent again after 1 % | 50 % | 99 % | digest equal |",
        "|---|---|---|---|---|---|",
    ]
    for cut in CUTS:
        for client in CLIENTS:
            row = sorted(
                (each for each in outcomes if (each.cut, each.client) == (cut, client)),
                key=lambda each: each.percent,
            )
            cells = [f"{each.again / _MB:.1f} MB" for each in row]
            if not row:
                continue
            equal = "yes" if all(each.is_equal for each in row) else "NO"
            lines.append(f"| {cut} | {client} | {' | '.join(cells)} | {equal} |")
    return "\n".join(lines)


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()

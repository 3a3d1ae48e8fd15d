"""`python -m tests.events.losses --uploads 1000`: whether any event is lost, false, or repeated too often."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from testbed.s3_store import new_bucket_name
from testbed.seaweed import running_seaweed
from tests.events.losses.account import table
from tests.events.losses.story import Told, tell
from tests.support.moto_server import running_moto


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.events.losses", description=__doc__)
    parser.add_argument("--uploads", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="of the moments at which servers are killed")
    parser.add_argument("--keep", type=Path, help="a directory for configuration and logs, which stays")
    words = parser.parse_args()
    began = time.monotonic()
    with running_seaweed() as store, running_moto() as moto, tempfile.TemporaryDirectory() as scratch:
        bucket = new_bucket_name()
        store.make_bucket(bucket)
        told = asyncio.run(
            tell(words.uploads, words.keep or Path(scratch), store, bucket, moto, seed=words.seed)
        )
    print(shown(told))
    print(f"{time.monotonic() - began:.0f} s, load average {os.getloadavg()[0]:.1f}")
    if not told.is_right:
        for each in told.accounts:
            print(f"{each.sink}: lost {list(each.lost)[:10]}, false {list(each.false)[:10]}")
        print(f"FAILED: files that were confirmed and are not there: {list(told.missing)[:10]}")
        sys.exit(1)
    print("OK")


def shown(told: Told) -> str:
    """What has happened, and a table of the sinks."""
    return (
        f"{told.uploads} uploads through two servers, each trouble {told.rounds} times\n"
        f"{told.stored} files stored, {told.refused} refused by the store, {told.tries_again} made again"
        " after a cut\n"
        f"{told.kills} kills, {told.taken_for_dead} servers taken for dead that lived,"
        f" {told.failed_deliveries} failed requests to sinks\n\n"
        f"{table(told.accounts)}\n"
    )


if __name__ == "__main__":
    main()

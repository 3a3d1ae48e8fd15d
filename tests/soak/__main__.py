"""`python -m tests.soak --sessions 50 --minutes 10`: many sessions over a real S3 server."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter

from testbed.s3_store import Store
from testbed.seaweed import running_seaweed
from tests.model.world import s3_world
from tests.soak.soak import Left, soak


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=10)
    arguments = parser.parse_args()
    try:
        with running_seaweed() as store:
            done = asyncio.run(_soak(store, arguments.sessions, 60 * arguments.minutes))
    except Left as error:
        _say(f"FAILED: {error}")
        sys.exit(1)
    _say(f"OK: nothing was left of {sum(done.values())} operations")


async def _soak(store: Store, sessions: int, seconds: float) -> Counter[str]:
    async with s3_world(store, meddles=False) as world:
        return await soak(world, sessions=sessions, seconds=seconds, report=_say)


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()

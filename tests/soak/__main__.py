"""`python -m tests.soak --sessions 50 --minutes 10`: many sessions over a real S3 server."""

from __future__ import annotations

import argparse
import asyncio

from tests.model.world import s3_world
from tests.soak.soak import soak
from tests.support.seaweed import running_seaweed
from tests.support.store import Store


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=10)
    arguments = parser.parse_args()
    with running_seaweed() as store:
        asyncio.run(_soak(store, arguments.sessions, 60 * arguments.minutes))


async def _soak(store: Store, sessions: int, seconds: float) -> None:
    async with s3_world(store, meddles=False) as world:
        uploads = world.unfinished_uploads
        done = await soak(world.server, uploads, sessions=sessions, seconds=seconds, report=_say)
    _say(f"nothing was left of {sum(done.values())} operations")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()

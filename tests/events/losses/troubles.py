"""What goes wrong while files are uploaded. Each trouble makes the uploads of its turn, and then is over."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from tests.events.losses.door import State
from tests.events.losses.receivers import Receiver
from tests.events.losses.replicas import World
from tests.support.faults import Answer, Hold, HoldReply, LoseReply, Reset

Turn = list[list[str]]
"""The paths that are uploaded meanwhile, of each replica."""
_FILES = r"^alice/.*\.csv$"


async def nothing(world: World, turn: Turn, dice: random.Random) -> None:
    """Nothing goes wrong."""
    await _upload(world, turn)


async def sinks_are_down(world: World, turn: Turn, dice: random.Random) -> None:
    """Every sink answers 503."""
    async with _all(world.receivers, State.DOWN):
        await _upload(world, turn)
        await _until_failed(world)


async def sinks_hang(world: World, turn: Turn, dice: random.Random) -> None:
    """No sink answers."""
    async with _all(world.receivers, State.HANGS):
        await _upload(world, turn)


async def sinks_lose_answers(world: World, turn: Turn, dice: random.Random) -> None:
    """Every sink accepts events, and its connection breaks before the answer."""
    async with _all(world.receivers, State.LOSES_ANSWERS):
        await asyncio.gather(_upload(world, turn), _until_failed(world))


async def store_fails(world: World, turn: Turn, dice: random.Random) -> None:
    """The store wants less, loses answers and breaks connections: for files and for the outbox."""
    rules = []
    for each in world.replicas:
        rules += [
            each.proxy.on("PutObject", do=LoseReply(), skip=2, times=3),
            each.proxy.on("PutObject", do=Answer(503, "SlowDown"), skip=3, times=3),
            each.proxy.on("DeleteObject", do=LoseReply(), skip=1, times=2),
            each.proxy.on("DeleteObject", do=Answer(500, "InternalError"), skip=3, times=3),
            each.proxy.on("ListObjectsV2", do=Reset(), times=2),
        ]
    await _upload(world, turn)
    for rule in rules:
        rule.times = 0


async def killed_before_the_delivery(world: World, turn: Turn, dice: random.Random) -> None:
    """A server has stored all its files and delivered no event when it is killed."""
    first = world.replicas[0]
    async with _all(world.receivers, State.HANGS):
        await _upload(world, turn)
        await world.kill(first)
    await first.start()


async def killed_in_the_commit(world: World, turn: Turn, dice: random.Random) -> None:
    """A server is killed while one file is stored and not confirmed, and another on its way to the store."""
    first = world.replicas[0]
    confirmed = first.proxy.on("PutObject", do=HoldReply(), key=_FILES, times=1)
    sent = first.proxy.on("PutObject", do=Hold(), key=_FILES, times=1)
    uploading = asyncio.create_task(_upload(world, turn))
    try:
        await confirmed.reached(timeout=120)
        await sent.reached(timeout=120)
        await world.kill(first)
    finally:
        confirmed.release()
        sent.release()
    await first.start()
    await uploading


async def killed_at_any_moment(world: World, turn: Turn, dice: random.Random) -> None:
    """A server is killed while its clients upload and its sinks accept, and started again."""
    first = world.replicas[0]
    moment = len(first.stored) + dice.randrange(1, max(2, len(turn[0]) - 1))
    uploading = asyncio.create_task(_upload(world, turn))
    await first.until_stored(moment)
    await world.kill(first)
    await first.start()
    await uploading


TROUBLES: list[Callable[[World, Turn, random.Random], Awaitable[None]]] = [
    nothing,
    sinks_are_down,
    killed_before_the_delivery,
    sinks_hang,
    killed_in_the_commit,
    sinks_lose_answers,
    killed_at_any_moment,
    store_fails,
]


async def _upload(world: World, turn: Turn) -> None:
    pairs = zip(world.replicas, turn, strict=True)
    await asyncio.gather(*(replica.upload(paths) for replica, paths in pairs))


@asynccontextmanager
async def _all(receivers: Iterable[Receiver], state: State) -> AsyncIterator[None]:
    for each in receivers:
        await each.door.become(state)
    try:
        yield
    finally:
        for each in receivers:
            await each.door.become(State.OPEN)


async def _until_failed(world: World) -> None:
    """Wait until each sink has failed."""
    await asyncio.gather(*(each.door.until_failed(1) for each in world.receivers))

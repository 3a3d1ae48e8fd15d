"""Many uploads, one trouble after another, and what has come of it at the end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.s3_store import Store
from tests.events.losses.account import Account, account_of
from tests.events.losses.receivers import receivers
from tests.events.losses.replicas import REFUSED, World, world
from tests.events.losses.troubles import TROUBLES
from tests.events.outbox.servers import until_empty

UPLOADS_OF_A_ROUND = 250
"""About so many uploads have each trouble once."""
_REFUSED_OF = 10
"""One of so many files is refused by the store."""


@dataclass(frozen=True)
class Told:
    """What has happened, and what the sinks were told."""

    uploads: int
    stored: int
    refused: int
    """By the store, each answered with an error."""
    tries_again: int
    kills: int
    taken_for_dead: int
    failed_deliveries: int
    """Requests to sinks that failed."""
    rounds: int
    missing: Sequence[str]
    """Files whose CLOSE was answered OK, and that are not in the bucket."""
    accounts: Sequence[Account]

    @property
    def is_right(self) -> bool:
        return not self.missing and all(each.is_right for each in self.accounts)


async def tell(
    uploads: int,
    directory: Path,
    store: Store,
    bucket: str,
    moto: Store,
    *,
    seed: int = 1,
    patience: float = 300,
) -> Told:
    """Upload so many files. Events that have not arrived `patience` seconds after the end are lost."""
    dice = random.Random(seed)
    rounds = max(1, uploads // UPLOADS_OF_A_ROUND)
    async with receivers(moto) as sinks, world(directory, store, bucket, moto, sinks) as here:
        for number, turn in enumerate(_turns(uploads, rounds * len(TROUBLES))):
            await TROUBLES[number % len(TROUBLES)](here, turn, dice)
        files = await _settled(here, patience)
        stored = set[str]().union(*(each.stored for each in here.replicas))
        return Told(
            uploads=uploads,
            stored=len(stored),
            refused=len(set[str]().union(*(each.refused for each in here.replicas))),
            tries_again=sum(each.tries_again for each in here.replicas),
            kills=here.kills,
            taken_for_dead=here.taken_for_dead,
            failed_deliveries=sum(each.door.failed for each in sinks),
            rounds=rounds,
            missing=sorted(stored - files.keys()),
            accounts=[
                account_of(each.name, each.events, files, here.most_duplicates(each)) for each in sinks
            ],
        )


def _turns(uploads: int, count: int) -> list[list[list[str]]]:
    """Share the uploads among so many troubles, and each share between two replicas."""
    names = [
        f"/{number:05d}{REFUSED if number % _REFUSED_OF == 0 else '.csv'}" for number in range(1, uploads + 1)
    ]
    shares = [names[turn::count] for turn in range(count)]
    return [[share[::2], share[1::2]] for share in shares]


async def _settled(here: World, patience: float) -> dict[str, str]:
    """Wait until every file has its event at every sink and the outbox is empty, or patience ends."""
    try:
        async with asyncio.timeout(patience):
            await until_empty(here.s3, seconds=patience)
            while True:
                files = await here.files()
                await asyncio.gather(*(each.collect() for each in here.receivers))
                if not any(account_of("", each.events, files, 0).lost for each in here.receivers):
                    break
                await asyncio.sleep(0.2)
    except TimeoutError:
        files = await here.files()
    await asyncio.gather(*(each.collect() for each in here.receivers))
    return files

"""Hashes passwords with Argon2id, and verifies hashes of several kinds, in a few threads of their own.

Verification is slow on purpose, up to seconds and many MiB, so it must neither run on the event loop nor in
as many threads as there are attackers. A name without a password is verified as well, against a hash that no
password matches, so that its answer takes equally long.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import HashingError
from argon2.profiles import RFC_9106_LOW_MEMORY

from s3sftp.auth.hash_schemes import HashCost, scheme_of
from s3sftp.runtime.cancellation import run_to_completion

_MAX_PASSWORD_BYTES = 1024
"""Longer passwords are refused unread: people do not type them, and hashing them would waste work."""
_USUAL = "$argon2id$v=19$m=65536,t=3,p=4$" + "A" * 22 + "$" + "A" * 43
"""A hash with the parameters that RFC 9106 recommends, for servers without passwords."""


def hash_password(password: str) -> str:
    """A hash for `password_hash`, with the parameters that RFC 9106 recommends (64 MiB, 3 passes).

    Raises MemoryError: if memory is short, including that for the threads.
    """
    try:
        return PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY).hash(password)
    except HashingError as error:
        raise MemoryError(f"hashing a password: {error}") from error


def check_hash(text: str) -> None:
    """Raises ValueError: if the text is not a hash that this server can verify, at a cost that it can
    bear."""
    scheme_of(text).cost(text)


@dataclass(frozen=True, slots=True)
class DummyHash:
    """A hash that no password matches, as expensive as most of the users' hashes."""

    password_hash: str
    cost: HashCost
    kinds: int
    """Number of distinct costs among the users' hashes; above 1, response time may tell users apart."""

    @classmethod
    def among(cls, hashes: Iterable[str], before: DummyHash | None = None) -> DummyHash:
        """The dummy hash for these hashes; the one from `before` if it has the right cost."""
        kinds: Counter[HashCost] = Counter()
        examples: dict[HashCost, str] = {}
        for text in hashes:
            cost = scheme_of(text).cost(text)
            kinds[cost] += 1
            examples.setdefault(cost, text)
        ((most, _),) = kinds.most_common(1) or [(scheme_of(_USUAL).cost(_USUAL), 0)]
        if before is not None and before.cost == most:
            return cls(before.password_hash, most, len(kinds))
        like = examples.get(most, _USUAL)
        return cls(scheme_of(like).dummy(like), most, len(kinds))


class PasswordVerifier:
    """Verifies passwords, `threads` at a time; those that wait occupy no thread."""

    def __init__(self, nobody: DummyHash, threads: int) -> None:
        self.nobody = nobody
        """The hash for unknown users. May be replaced at any time."""
        self._threads = asyncio.Semaphore(threads)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="password")

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password matches the hash. For None, verify a dummy hash and return False."""
        data = password.encode("utf-8", "surrogatepass")
        if len(data) > _MAX_PASSWORD_BYTES:
            data, password_hash = b"", None
        async with self._threads:
            running = asyncio.get_running_loop().run_in_executor(
                self._pool, _fits, password_hash or self.nobody.password_hash, data
            )
            # a client that disconnects must not free the slot of a thread that still computes
            fits = await run_to_completion(running)
        return fits and password_hash is not None

    def close(self) -> None:
        """Stop the threads. Does not wait for one that still computes."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _fits(password_hash: str, password: bytes) -> bool:
    return scheme_of(password_hash).fits(password_hash, password)

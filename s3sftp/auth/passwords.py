"""Hashes and verifies passwords with Argon2id, in a few threads of their own.

Verification is slow on purpose, a tenth of a second and about 64 MiB, so it must neither run on the event
loop nor in as many threads as there are attackers. A name without a password is verified as well, against a
hash that no password matches, so that its answer takes equally long.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass

from argon2 import Parameters, PasswordHasher, extract_parameters
from argon2.exceptions import Argon2Error, HashingError, InvalidHashError
from argon2.low_level import Type
from argon2.profiles import RFC_9106_LOW_MEMORY

from s3sftp.runtime.cancellation import run_to_completion

_MAX_PASSWORD_BYTES = 1024
"""Longer passwords are refused unread: people do not type them, and hashing them would waste work."""
_MAX_MEMORY_KIB = 1 << 20
_NOT_ARGON2ID = "should be an Argon2id hash that begins with $argon2id$; make one with `s3sftp hash-password`"


def hash_password(password: str) -> str:
    """A hash for `password_hash`, with the parameters that RFC 9106 recommends (64 MiB, 3 passes)."""
    return _hash(PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY), password)


def _hash(hasher: PasswordHasher, password: str) -> str:
    """The hash of a password.

    Raises MemoryError: if memory is short, including that for the threads.
    """
    try:
        return hasher.hash(password)
    except HashingError as error:
        raise MemoryError(f"hashing a password: {error}") from error


def check_hash(text: str) -> None:
    """Raises ValueError: if the text is not a hash that this server can verify."""
    try:
        parameters = extract_parameters(text)
    except InvalidHashError:
        raise ValueError(_NOT_ARGON2ID) from None
    if parameters.type is not Type.ID:
        raise ValueError(_NOT_ARGON2ID)
    if parameters.memory_cost > _MAX_MEMORY_KIB:
        raise ValueError("asks for more than 1 GiB of memory for each login")


def usual_cost(hashes: Iterable[str]) -> tuple[Parameters, int]:
    """The parameters that most hashes have (RFC 9106's if there are no hashes), and the number of distinct
    ones."""
    kinds = Counter(astuple(extract_parameters(text)) for text in hashes)
    if not kinds:
        return RFC_9106_LOW_MEMORY, 0
    return Parameters(*kinds.most_common(1)[0][0]), len(kinds)


@dataclass(frozen=True, slots=True)
class DummyHash:
    """A hash that no password matches, as expensive as most of the users' hashes."""

    password_hash: str
    parameters: Parameters
    kinds: int
    """Number of distinct costs among the users' hashes; above 1, response time tells users apart."""

    @classmethod
    def among(cls, hashes: Iterable[str], before: DummyHash | None = None) -> DummyHash:
        """The dummy hash for these hashes. Takes as long as a login, unless `before` already has the right
        cost."""
        parameters, kinds = usual_cost(hashes)
        if before is not None and before.parameters == parameters:
            return cls(before.password_hash, parameters, kinds)
        made = _hash(PasswordHasher.from_parameters(parameters), secrets.token_hex())
        return cls(made, parameters, kinds)


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
    try:
        return PasswordHasher().verify(password_hash, password)
    except (Argon2Error, InvalidHashError):
        return False

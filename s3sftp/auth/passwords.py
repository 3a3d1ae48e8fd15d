"""Passwords: Argon2id, verified in a few threads of their own.

Verifying is made slow on purpose, a tenth of a second and 64 MiB or so, so it must neither run on the
event loop nor in as many threads as there are attackers. A name without a password is verified too,
against a hash that no password fits, so that its answer takes as long.
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

_MAX_PASSWORD_BYTES = 1024
"""Longer ones are refused unread; no one types them, and hashing them would be work for nothing."""
_MAX_MEMORY_KIB = 1 << 20
_NOT_ARGON2ID = "should be an Argon2id hash that begins with $argon2id$; make one with `s3sftp hash-password`"


def hash_password(password: str) -> str:
    """A hash for `password_hash`, with the parameters that RFC 9106 recommends (64 MiB, 3 passes)."""
    return _hash(PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY), password)


def _hash(hasher: PasswordHasher, password: str) -> str:
    """Raises MemoryError when there is too little, also for the threads that it takes."""
    try:
        return hasher.hash(password)
    except HashingError as error:
        raise MemoryError(f"hashing a password: {error}") from error


def check_hash(text: str) -> None:
    """Raises ValueError when the text is not a hash that this server would verify."""
    try:
        parameters = extract_parameters(text)
    except InvalidHashError:
        raise ValueError(_NOT_ARGON2ID) from None
    if parameters.type is not Type.ID:
        raise ValueError(_NOT_ARGON2ID)
    if parameters.memory_cost > _MAX_MEMORY_KIB:
        raise ValueError("asks for more than 1 GiB of memory for each login")


def usual_cost(hashes: Iterable[str]) -> tuple[Parameters, int]:
    """The parameters that most hashes have (RFC 9106's for none), and how many kinds of them there are."""
    kinds = Counter(astuple(extract_parameters(text)) for text in hashes)
    if not kinds:
        return RFC_9106_LOW_MEMORY, 0
    return Parameters(*kinds.most_common(1)[0][0]), len(kinds)


@dataclass(frozen=True, slots=True)
class DummyHash:
    """A hash that no password fits, as expensive as most of those of the users."""

    password_hash: str
    parameters: Parameters
    kinds: int
    """How many costs the users' hashes have; above 1, time tells users apart."""

    @classmethod
    def among(cls, hashes: Iterable[str], before: DummyHash | None = None) -> DummyHash:
        """Takes as long as a login, unless the one before has the right cost."""
        parameters, kinds = usual_cost(hashes)
        if before is not None and before.parameters == parameters:
            return cls(before.password_hash, parameters, kinds)
        made = _hash(PasswordHasher.from_parameters(parameters), secrets.token_hex())
        return cls(made, parameters, kinds)


class PasswordVerifier:
    """Compares passwords with hashes, `threads` at a time; those that wait take no thread."""

    def __init__(self, nobody: DummyHash, threads: int) -> None:
        self.nobody = nobody
        """May be replaced at any time."""
        self._threads = asyncio.Semaphore(threads)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="password")

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password fits. None: verify for the time that it takes, and say no."""
        data = password.encode("utf-8", "surrogatepass")
        if len(data) > _MAX_PASSWORD_BYTES:
            data, password_hash = b"", None
        async with self._threads:
            running = asyncio.get_running_loop().run_in_executor(
                self._pool, _fits, password_hash or self.nobody.password_hash, data
            )
            # a client that leaves must not free the place of a thread that is still computing
            fits = await _even_if_cancelled(running)
        return fits and password_hash is not None

    def close(self) -> None:
        """Let the threads go. Does not wait for one that is computing."""
        self._pool.shutdown(wait=False, cancel_futures=True)


async def _even_if_cancelled(running: asyncio.Future[bool]) -> bool:
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def _fits(password_hash: str, password: bytes) -> bool:
    try:
        return PasswordHasher().verify(password_hash, password)
    except (Argon2Error, InvalidHashError):
        return False

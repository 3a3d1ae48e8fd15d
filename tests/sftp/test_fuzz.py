"""Random and mutated packets: an answer to each or the end of the session, no hang, and nothing leaks.

`S3SFTP_FUZZ_ROUNDS=1000 pytest tests/sftp/test_fuzz.py` goes on for longer; a failure names its seed.
"""

from __future__ import annotations

import asyncio
import os
import random

import pytest

from s3sftp.backends.memory import MemoryBackend
from s3sftp.fs import FileOptions
from s3sftp.sftp import SftpOptions
from testbed.packets import EXTENDED, INIT, NO_ATTRIBUTES, packet, string, u32, u64
from testbed.raw_client import Ended, RawSftpClient
from tests.sftp.session_server import Serving, serving

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("log_level")]

ROUNDS = int(os.environ.get("S3SFTP_FUZZ_ROUNDS", "30"))
PACKETS = 150

PATHS = [b"/", b"file", b"d", b"d/inner", b"new", b"d/new", b"..", b"\xff", b"", b"a\0b", b"x" * 300]
HANDLES = [u32(number) for number in range(6)] + [b"", b"\xff" * 4]
NUMBERS = [0, 1, 2, 255, 4096, 32768, 1 << 20, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 63, (1 << 64) - 1]
EXTENSIONS = [
    b"posix-rename@openssh.com",
    b"statvfs@openssh.com",
    b"fstatvfs@openssh.com",
    b"fsync@openssh.com",
    b"lsetstat@openssh.com",
    b"limits@openssh.com",
    b"expand-path@openssh.com",
    b"copy-data",
    b"home-directory",
    b"unknown@example.com",
]
FIELDS_OF = {
    3: "pfa", 4: "h", 5: "hol", 6: "hod", 7: "p", 8: "h", 9: "pa", 10: "ha", 11: "p", 12: "h",
    13: "p", 14: "pa", 15: "p", 16: "p", 17: "p", 18: "pp", 19: "p", 20: "pp",
}  # fmt: skip


class Nonsense:
    """Makes packets that are nearly right."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def packet(self, request_id: int) -> bytes:
        """A packet with the right length and that id; anything may be wrong behind it."""
        kind = self.random.choice([*FIELDS_OF, EXTENDED])
        if kind == EXTENDED:
            fields = self.random.choices("phoal", k=self.random.randrange(6))
            body = string(self.random.choice(EXTENSIONS)) + b"".join(map(self.field, fields))
        else:
            body = b"".join(map(self.field, FIELDS_OF[kind]))
        if self.random.random() < 0.3:
            body = self.mutated(body)
        if self.random.random() < 0.03:
            kind = self.random.choice([each for each in range(256) if each != INIT])
        return packet(kind, body, request_id)

    def field(self, kind: str) -> bytes:
        pick = self.random.choice
        match kind:
            case "p":
                return string(pick(PATHS))
            case "h":
                return string(pick(HANDLES))
            case "f":
                return u32(pick([1, 2, 3, 10, 26, 27, 42, 6, self.random.getrandbits(32)]))
            case "o":
                return u64(pick([0, 0, 100, 4096, *NUMBERS]))
            case "l":
                return u32(pick(NUMBERS) & 0xFFFFFFFF)
            case "d":
                return string(self.random.randbytes(pick([0, 1, 100, 4096, 10_000])))
            case _:
                return pick([NO_ATTRIBUTES, NO_ATTRIBUTES, self.attributes()])

    def attributes(self) -> bytes:
        flags = self.random.choice([1, 2, 4, 8, 13, 0x8000000F, self.random.getrandbits(32)])
        return (
            u32(flags) + u64(self.random.choice(NUMBERS)) + self.random.randbytes(self.random.randrange(40))
        )

    def mutated(self, body: bytes) -> bytes:
        changed = bytearray(body)
        for _ in range(self.random.randrange(1, 4)):
            at = self.random.randrange(len(changed) + 1)
            match self.random.randrange(4):
                case 0 if at < len(changed):
                    changed[at] ^= 1 << self.random.randrange(8)
                case 1:
                    del changed[at:]
                case 2:
                    changed[at:at] = self.random.randbytes(self.random.randrange(1, 9))
                case _:
                    changed[at : at + 4] = u32(self.random.choice(NUMBERS) & 0xFFFFFFFF)
        return bytes(changed)

    def stream(self) -> bytes:
        """Bytes that may be anything: packets cut, joined, with lengths that are wrong."""
        packets = [self.packet(number) for number in range(20)]
        if self.random.random() < 0.7:
            packets.insert(0, packet(INIT, u32(3)))
        return self.mutated(b"".join(packets))


def fresh_backend() -> MemoryBackend:
    seed = {"file": bytes(range(256)) * 40, "d/inner": b"inner"}
    return MemoryBackend(seed, chunk_bytes=4096, min_chunk_bytes=1000, parallel_chunks=2)


def small_server(backend: MemoryBackend) -> object:
    files = FileOptions(max_zero_fill_bytes=1 << 20, reorder_bytes=1 << 20)
    return serving(backend, files=files, sftp=SftpOptions(max_handles=6))


async def must_still_work(server: Serving) -> None:
    """Another session does its work."""
    async with asyncio.timeout(20), server.client("witness") as witness:
        await witness.put(b"/witness", b"12345")
        assert await witness.get(b"/witness") == b"12345"


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_each_request_is_answered_once(seed: int) -> None:
    backend = fresh_backend()
    nonsense = Nonsense(seed)
    async with small_server(backend) as server, server.client() as client:  # type: ignore[attr-defined]
        for number in range(PACKETS):
            client.send(nonsense.packet(1_000_000 + number))
            if nonsense.random.random() < 0.1:
                await client.realpath(b".")
        await settled(client)
        ids = sorted(int.from_bytes(body[1:5], "big") for body in client.unasked)
        assert ids == [1_000_000 + number for number in range(PACKETS)]
        await must_still_work(server)
    assert backend.open_uploads == 0


async def settled(client: RawSftpClient) -> None:
    """Wait for the answers of everything that was sent before."""
    async with asyncio.timeout(20):
        while len(client.unasked) < PACKETS:
            await client.realpath(b".")
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_a_broken_stream_ends_its_own_session_at_most(seed: int) -> None:
    backend = fresh_backend()
    nonsense = Nonsense(seed)
    async with small_server(backend) as server:  # type: ignore[attr-defined]
        async with server.client(init=False) as client:
            stream = nonsense.stream()
            while stream:
                cut = nonsense.random.randrange(1, 2000)
                client.send(stream[:cut])
                stream = stream[cut:]
                await asyncio.sleep(0)
        await must_still_work(server)
    assert backend.open_uploads == 0


@pytest.mark.parametrize("seed", range(ROUNDS // 3))
async def test_a_client_that_vanishes_leaves_nothing(seed: int) -> None:
    backend = fresh_backend()
    nonsense = Nonsense(seed)
    async with small_server(backend) as server:  # type: ignore[attr-defined]
        connection = await server.connect()
        process = await connection.create_process(subsystem="sftp", encoding=None)
        client = RawSftpClient(connection, process)
        await client.init()
        for number in range(PACKETS):
            client.send(nonsense.packet(1_000_000 + number))
        if nonsense.random.random() < 0.5:
            await client.realpath(b".")
        connection.abort()
        await client.ended()
        with pytest.raises(Ended):
            await client.stat(b"/")
        await must_still_work(server)
    assert backend.open_uploads == 0

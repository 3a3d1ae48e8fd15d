"""One file under random use, with writes that go back and gaps that are filled."""

from __future__ import annotations

import random

import pytest

from s3sftp.backends.memory import MemoryBackend
from s3sftp.fs import FileOptions
from tests.model.fsx import Exercise
from tests.sftp.session_server import serving
from tests.support.logs import Level

pytestmark = pytest.mark.slow

FILES = FileOptions(rewrite="spool", gaps="zero")


@pytest.mark.parametrize("log_level", ["info", "debug"])
@pytest.mark.parametrize("seed", range(10))
async def test_a_file_under_random_use_holds_what_was_written(seed: int, log_level: Level) -> None:
    backend = MemoryBackend(
        chunk_bytes=100, min_chunk_bytes=30, keep_unit_bytes=7, parallel_chunks=3, read_bytes=70
    )
    async with serving(backend, files=FILES, log_level=log_level) as server, server.client() as client:
        content = await Exercise(client, random.Random(seed), bytearray()).run(steps=150)
        assert backend.contents() == {"fsx": content}
        assert backend.open_uploads == 0

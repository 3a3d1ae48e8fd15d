"""Memory of a server whose storage is a service: bounded, however large the files are."""

from __future__ import annotations

import filecmp
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command_process import Running, batch, sftp_command
from tests.cli.test_service import Place, new_place

MIB = 1 << 20
BUDGET = 48 * MIB
BESIDE = 24 * MIB
"""What there is beside `files.buffer_bytes`: the session's, a few frames, and what the allocator keeps."""


@pytest.fixture
def place() -> Iterator[Place]:
    with new_place() as place:
        yield place


def most_resident(server: Running) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(row.split()[1] for row in status.splitlines() if row.startswith("VmHWM"))) * 1024


def test_256_mib_up_and_down_through_a_service_take_no_more_memory_than_is_configured(place: Place) -> None:
    large, back = place.directory / "large", place.directory / "back"
    with large.open("wb") as file:
        for number in range(256):
            file.write(number.to_bytes(2, "big") * (MIB // 2))
    with place.service(), place.server("--workers", "1", S3SFTP_FILES__BUFFER_BYTES=str(BUDGET)) as server:
        server.wait_event("server.started")
        command = sftp_command(server.port, place.key)
        warm = batch(command, f"put {place.file('small', b'small')}\nget small {back}\n")
        assert warm.returncode == 0, warm.stderr
        Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")  # the most from now on
        before = most_resident(server)
        done = batch(command, f"put {large}\nget large {back}\n")
        assert done.returncode == 0, done.stderr
        grown = most_resident(server) - before
    assert filecmp.cmp(large, back, shallow=False)
    assert grown < BUDGET + BESIDE, f"grew by {grown / MIB:.0f} MiB"

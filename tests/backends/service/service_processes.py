"""Storages behind a Unix socket, each in a process of its own: that of this module, and the example's."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from s3sftp.backends import Backend
from s3sftp.backends.memory import MemoryBackend
from s3sftp.backends.service import ServiceBackend, ServiceOptions, serve_unix
from testbed.processes import Process
from tests.backends.partial_backends import STREAMING, with_only
from tests.cli.command_process import clean_environment

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "examples" / "storage_service.py"
KINDS = {"streaming": (*STREAMING, "read_file_range"), "whole files": ()}


def storage(kind: str) -> Backend:
    backend = MemoryBackend(chunk_bytes=7, min_chunk_bytes=3, parallel_chunks=3, page_entries=3)
    return with_only(backend, *KINDS[kind])


@contextmanager
def short_directory() -> Iterator[Path]:
    """The address of a socket has about a hundred bytes; pytest's directories may have more."""
    with tempfile.TemporaryDirectory(prefix="s3sftp-") as directory:
        yield Path(directory)


@contextmanager
def process_of(address: Path, *words: str | Path) -> Iterator[Process]:
    """A service in a process of its own; it listens now."""
    command = [sys.executable, *map(str, words)]
    process = Process(command, address.with_suffix(".log"), env=clean_environment(), cwd=ROOT)
    try:
        process.wait_ready(lambda: is_listened_to(address))
        yield process
    finally:
        process.kill()


def memory(address: Path, kind: str) -> tuple[str | Path, ...]:
    """What runs `serve_unix` on memory."""
    return "-m", "tests.backends.service.service_processes", address, kind


def reference(address: Path, root: Path) -> tuple[str | Path, ...]:
    """What runs the example."""
    return REFERENCE, address, root


def is_listened_to(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.connect(str(path))
        return True
    return False


@asynccontextmanager
async def served(address: Path, backend: Backend, **options: Any) -> AsyncIterator[None]:
    """`serve_unix` in this process."""
    listening = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        service = tasks.create_task(serve_unix(address, backend, listening=listening.set, **options))
        await listening.wait()
        try:
            yield
        finally:
            service.cancel()


def behind(address: Path, **options: Any) -> ServiceBackend:
    """What a server stores in; not started."""
    return ServiceBackend(ServiceOptions(socket=address, **options))


if __name__ == "__main__":
    asyncio.run(serve_unix(sys.argv[1], storage(sys.argv[2])))

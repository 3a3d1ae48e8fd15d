"""The examples run as their first lines say, real clients come, and a signal ends them cleanly."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from s3sftp.backends import Place, Session
from s3sftp.backends.memory import MemoryBackend
from testbed.processes import Process, accepts, free_port
from tests.embedding.password_clients import openssh, paramiko_sftp, write
from tests.support.loaded_files import load

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@contextmanager
def running(log: Path, *words: str, port: int, **environment: str) -> Iterator[Process]:
    """A program that listens, and its end on SIGINT."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    process = Process([sys.executable, *words], log, env=env)
    try:
        process.wait_ready(lambda: accepts(port))
        yield process
    finally:
        process.kill()


def ends_cleanly(process: Process) -> None:
    process.send(signal.SIGINT)
    assert process.wait(20) == 0, process.output()
    assert "Traceback" not in process.output()


async def upload(port: int, local: Path) -> None:
    (await openssh(port, f"put {write(local, b'hello')} /by-openssh", password="secret")).ok()

    def by_paramiko() -> int:
        with paramiko_sftp(port, password="secret") as sftp:
            return sftp.put(str(local), "/by-paramiko").st_size or 0

    assert await asyncio.to_thread(by_paramiko) == 5


async def test_in_a_task_group(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path / "log", str(EXAMPLES / "embed_taskgroup.py"), str(port), port=port) as process:
        await upload(port, tmp_path / "local")
        await asyncio.to_thread(ends_cleanly, process)
        assert "alice has uploaded /by-openssh, 5 bytes" in process.output()
        assert "alice has uploaded /by-paramiko, 5 bytes" in process.output()


async def test_in_anyio(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path / "log", str(EXAMPLES / "embed_anyio.py"), str(port), port=port) as process:
        await upload(port, tmp_path / "local")
        await asyncio.to_thread(ends_cleanly, process)
        assert f"listening on {port}" in process.output()


async def test_in_the_lifespan_of_fastapi(tmp_path: Path) -> None:
    port, http = free_port(), free_port()
    words = ("-m", "uvicorn", "--app-dir", str(EXAMPLES), "--port", str(http), "embed_fastapi:app")
    with running(tmp_path / "log", *words, port=http, SFTP_PORT=str(port)) as process:
        await upload(port, tmp_path / "local")
        assert await asyncio.to_thread(asked, http, "/health/ready") == (200, None)
        assert await asyncio.to_thread(asked, http, "/uploads") == (200, ["/by-openssh", "/by-paramiko"])
        process.send(signal.SIGINT)
        await asyncio.to_thread(process.wait, 20)
        assert "Application shutdown complete" in process.output()
        assert "Traceback" not in process.output()
    assert not accepts(port)


def asked(port: int, path: str) -> tuple[int, object]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
        body = answer.read()
        return answer.status, json.loads(body) if body else None


async def test_a_pipeline_parses_moves_and_tells(tmp_path: Path) -> None:
    pipeline, backend = loaded("pipeline"), MemoryBackend()
    told: asyncio.Queue[str] = asyncio.Queue()
    good = write(tmp_path / "good.csv", b"article,pieces\napple,3\npear,4\n")
    bad = write(tmp_path / "bad.csv", b"article,pieces\napple,many\n")
    async with pipeline.server_of(backend, told.put, port=0) as server:
        lines = (
            f"put {good} /inbox/good.csv",
            f"put {bad} /inbox/bad.csv",
            f"put {good} /inbox/late.csv.partial",
            "rename /inbox/late.csv.partial /inbox/late.csv",
            f"put {good} /elsewhere.csv",
        )
        (await openssh(server.port, *lines, password="secret")).ok()
        said = {await asyncio.wait_for(told.get(), 20) for _ in range(3)}
    assert said == {
        "good.csv is processed: 7 pieces ordered",
        "bad.csv is rejected: invalid literal for int() with base 10: 'many'",
        "late.csv is processed: 7 pieces ordered",
    }
    assert {name for name in backend.contents() if not name.endswith("/")} == {
        "processed/good.csv",
        "processed/late.csv",
        "rejected/bad.csv",
        "elsewhere.csv",
    }
    assert told.empty()


async def test_a_pipeline_that_could_not_tell_does_so_when_the_event_comes_again() -> None:
    pipeline = loaded("pipeline")
    backend, told = MemoryBackend({"inbox/f.csv": b"pieces\n1\n"}), []

    async def tell(text: str) -> None:
        if not told:
            told.append("failed")
            raise OSError("no way to tell")
        told.append(text)

    work = pipeline.Pipeline(backend, tell)
    place = Place((b"inbox", b"f.csv"))
    with pytest.raises(OSError, match="no way"):
        await work._take_in(place, Session("alice"))
    await work._take_in(place, Session("alice"))
    await work._take_in(place, Session("alice"))
    assert told == ["failed", "f.csv is processed: 1 pieces ordered"]
    assert "processed/f.csv" in backend.contents()


def loaded(name: str) -> ModuleType:
    return load(EXAMPLES / f"{name}.py")

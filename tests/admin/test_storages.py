"""What is said of storages other than a bucket, and of those that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from s3sftp.app import health
from s3sftp.app.health import storage_problem
from s3sftp.app.options import ServerOptions
from s3sftp.backends import Entry, Place, Session
from s3sftp.backends.memory import MemoryBackend
from s3sftp.backends.s3 import S3Options
from s3sftp.errors import PermissionDenied, StorageFailure
from tests.admin.admin_client import ask
from tests.cli.test_service import new_place

OPTIONS = ServerOptions(backend="acme")


class Misbehaving(MemoryBackend):
    """Raises, or never answers."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__()
        self.ready = True
        self._error = error

    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        if self._error is None:
            await asyncio.sleep(600)
        else:
            raise self._error
        yield []


async def said_of(backend: MemoryBackend, options: ServerOptions = OPTIONS) -> str:
    return await storage_problem(backend, backend, options)


async def test_one_that_answers_is_no_trouble() -> None:
    assert await said_of(MemoryBackend()) == ""


async def test_one_that_serves_those_alone_who_have_logged_in_is_no_trouble() -> None:
    assert await said_of(Misbehaving(PermissionDenied())) == ""
    assert "permission denied" in await said_of(Misbehaving(PermissionDenied(lasting=True)))


async def test_one_that_says_itself_that_it_is_not_ready_is_believed() -> None:
    backend = MemoryBackend()
    backend.ready = False  # type: ignore[attr-defined]
    assert await said_of(backend) == "storage acme: it answers, but says that it is not ready"


async def test_one_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PROBE_SECONDS", 0.1)
    assert "storage acme: no answer in 0.1 s" in await said_of(Misbehaving(None))


async def test_one_that_breaks_is_quoted() -> None:
    said = await said_of(Misbehaving(ZeroDivisionError("oh")))
    assert said.startswith("storage acme: ZeroDivisionError: oh")


async def test_what_it_says_is_one_line_of_bounded_length_without_credentials() -> None:
    detail = "GET https://key:secret@store.example/b\x1b[2J\n" + "x" * 5000
    s3 = S3Options(
        bucket="b", endpoint_url="https://store.example", access_key_id="AKIA1", secret_access_key="hidden"
    )
    error = StorageFailure(detail=detail)
    said = await said_of(Misbehaving(error), ServerOptions(backend="s3", s3=s3))
    assert said.startswith(
        "storage failure: bucket b at https://store.example: GET https://***@store.example/b"
    )
    assert said.isprintable()
    assert len(said) < 1100
    assert not [word for word in ("secret", "hidden", "AKIA1") if word in said]


async def test_a_service_that_is_killed_and_comes_back_is_told() -> None:
    with new_place() as place, place.service() as service:
        with place.server("--workers", "2", S3SFTP_ADMIN__PORT="0") as server:
            server.wait_event("server.started")
            port = int(server.wait_event("admin.listening")["port"])
            assert (await ask(port, "/readyz")).status == 200
            service.kill()
            while (said := await ask(port, "/readyz")).status == 200:
                await asyncio.sleep(0.2)
            detail = said.reasons["storage_unreachable"]
            assert f"service at {place.socket}" in detail
            assert "storage service is not there" in detail
            with place.service():
                while (await ask(port, "/readyz")).status != 200:
                    await asyncio.sleep(0.2)
            assert "Traceback" not in server.process.output()

"""Who may call the admin API, and how: every route, by the table of routes."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from s3sftp.admin import AdminOptions, HealthReport, api_access
from s3sftp.admin.api_access import TokenFile
from s3sftp.admin.api_models import Accepted, VersionView
from s3sftp.admin.api_routes import ROUTES, ApiCall, ApiRoute
from s3sftp.admin.api_tokens import ApiToken, BadTokens, read_tokens
from s3sftp.admin.connection_limits import LimitedProtocol
from s3sftp.admin.http_service import admin_port
from s3sftp.config import Options
from s3sftp.telemetry.event_tap import tap
from testbed.certificates import Authority
from tests.admin.admin_client import AdminResponse, ask
from tests.admin.api_client import READING, TOKEN, token_file
from tests.support.logs import capture_events

CALLS = "api.example"


class NothingDone:
    """Calls that are noted, and not done."""

    def __init__(self) -> None:
        self.done: list[str] = []

    async def do(self, call: ApiCall) -> Any:
        self.done.append(call.route.call)
        return VersionView(version="1", python="3") if call.route.method == "GET" else Accepted()


async def healthy() -> HealthReport:
    return HealthReport()


@asynccontextmanager
async def served(tmp_path: Path, **options: Any) -> AsyncIterator[tuple[int, NothingDone]]:
    calls = NothingDone()
    given: dict[str, Any] = {"port": 0, "token_file": token_file(tmp_path)} | options
    async with admin_port(AdminOptions(**given), healthy, healthy, None, calls) as port:
        yield port, calls


def path_of(route: ApiRoute) -> str:
    for name in route.parameters:
        assert name in ("id", "name")
    return route.path.replace("{id}", "a").replace("{name}", "a")


async def call(port: int, route: ApiRoute, **headers: str) -> AdminResponse:
    body = None
    if route.body is not None:
        body = json.dumps({"level": "info"} if "log-level" in route.path else {})
        headers = {"Content-Type": "application/json"} | headers
    return await ask(port, path_of(route), route.method, headers=headers, body=body)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("given", [{}, bearer("x" * 40), {"Authorization": "Basic eDp5"}, bearer("")])
async def test_no_route_answers_anybody_without_a_right_token(tmp_path: Path, given: dict[str, str]) -> None:
    async with served(tmp_path) as (port, calls):
        for route in ROUTES:
            said = await call(port, route, **given)
            assert said.status in (401, 429), route
            assert ("www-authenticate" in said.headers) == (said.status == 401)
            assert said.headers["content-type"].startswith("application/problem+json")
            assert set(said.json) == {"type", "title", "status", "detail"}
        assert calls.done == []


async def test_every_route_answers_whoever_has_a_token(tmp_path: Path) -> None:
    async with served(tmp_path) as (port, calls):
        for route in ROUTES:
            assert (await call(port, route, **bearer(TOKEN))).status == route.status, route
        assert calls.done == [route.call for route in ROUTES if route.answer is not None]


async def test_a_token_that_is_read_only_changes_nothing(tmp_path: Path) -> None:
    async with served(tmp_path) as (port, calls):
        for route in ROUTES:
            said = await call(port, route, **bearer(READING))
            assert said.status == (403 if route.changes else route.status), route
        assert not {route.call for route in ROUTES if route.changes} & set(calls.done)


async def test_without_token_or_authority_there_is_no_api_and_health_is_as_ever(tmp_path: Path) -> None:
    async with served(tmp_path, token_file=None) as (port, _):
        for route in ROUTES:
            assert (await call(port, route, **bearer(TOKEN))).status == 404
        assert (await ask(port, "/livez")).status == 200


async def test_wrong_tokens_are_throttled_and_the_right_one_never_is(tmp_path: Path) -> None:
    async with served(tmp_path) as (port, _):
        statuses = [(await call(port, ROUTES[0], **bearer("y" * 40))).status for _ in range(12)]
        assert statuses == [401] * 9 + [401] + [429] * 2
        assert (await call(port, ROUTES[0], **bearer(TOKEN))).status == 200


async def test_a_token_that_is_taken_back_is_refused_without_a_restart(tmp_path: Path) -> None:
    async with served(tmp_path) as (port, _):
        assert (await call(port, ROUTES[0], **bearer(TOKEN))).status == 200
        (tmp_path / "tokens").write_text(f"next {'n' * 40}\n")
        async with asyncio.timeout(30):
            while (await call(port, ROUTES[0], **bearer(TOKEN))).status == 200:
                await asyncio.sleep(0.1)
        assert (await call(port, ROUTES[0], **bearer("n" * 40))).status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:9090", 200),
        ("[::1]:9090", 200),
        (CALLS, 200),
        (f"{CALLS}:9090", 200),
        ("rebound.example", 421),
        ("localhost.rebound.example", 421),
        ("", 421),
    ],
)
async def test_requests_by_a_name_of_somebody_else_are_refused(
    tmp_path: Path, host: str, status: int
) -> None:
    async with served(tmp_path, allowed_hosts=[CALLS]) as (port, _):
        assert (await call(port, ROUTES[0], Host=host, **bearer(TOKEN))).status == status
        assert (await ask(port, "/livez", headers={"Host": host})).status == 200


async def test_requests_of_other_sites_pages_are_refused(tmp_path: Path) -> None:
    async with served(tmp_path) as (port, _):
        own, other = f"http://127.0.0.1:{port}", "https://evil.example"
        assert (await call(port, ROUTES[0], Origin=own, **bearer(TOKEN))).status == 200
        for origin in (other, "null", "http://["):
            assert (await call(port, ROUTES[0], Origin=origin, **bearer(TOKEN))).status == 403


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("text/plain", b'{"level": "debug"}', 415),
        ("application/json", b"{", 400),
        ("application/json", b"[" * 20000, 400),
        ("application/json", b'{"level": "loud"}', 422),
        ("application/json", b'{"level": "debug", "more": 1}', 422),
        ("application/json", b'{"level": "' + b"x" * 25_000 + b'"}', 413),
    ],
)
async def test_bodies_that_are_wrong_are_problems(
    tmp_path: Path, kind: str, body: bytes, status: int
) -> None:
    async with served(tmp_path) as (port, calls):
        headers = {"Content-Type": kind, **bearer(TOKEN)}
        said = await ask(port, "/api/v1/log-level", "PUT", headers=headers, body=body)
        assert (said.status, said.json["status"]) == (status, status)
        assert calls.done == []


async def test_a_connection_serves_one_call_after_the_other_only_for_those_who_may(tmp_path: Path) -> None:
    async with served(tmp_path) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        request = f"GET /api/v1/version HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        sent = 0
        while sent < 64 << 10:  # more than a connection may send at once
            writer.write(request.encode())
            sent += len(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        writer.write(b"GET /api/v1/version HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 401")  # to the end: it is closed
        writer.close()


async def test_a_token_file_that_could_not_be_read_is_read_again_without_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results: list[BadTokens | list[ApiToken]] = [BadTokens("no"), BadTokens("no"), BadTokens("other"), []]

    def read(_file: Path) -> list[ApiToken]:
        result = results.pop(0)
        if isinstance(result, BadTokens):
            raise result
        return result

    monkeypatch.setattr(api_access, "read_tokens", read)
    told: list[str] = []
    unlisten = tap.listen({"admin.tokens_unusable"}, lambda _, fields: told.append(fields["problem"]))
    times = iter(range(0, 100, 2))
    file = TokenFile(token_file(tmp_path), lambda: float(next(times)))
    try:
        for _ in range(6):  # a file that was read is not read again
            await file.tokens()
    finally:
        unlisten()
    assert (results, told) == ([], ["no", "other"])


async def test_the_first_calls_at_once_wait_until_the_tokens_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_read = threading.Event()

    def read(file: Path) -> Sequence[ApiToken]:
        may_read.wait(30)
        return read_tokens(file)

    monkeypatch.setattr(api_access, "read_tokens", read)
    file = TokenFile(token_file(tmp_path))
    asking = [asyncio.create_task(file.tokens()) for _ in range(3)]
    while not asking[0].done():
        await asyncio.sleep(0)
        may_read.set()
    assert [len(await each) for each in asking] == [2, 2, 2]


class Failing(NothingDone):
    async def do(self, call: ApiCall) -> Any:
        raise OSError(call.route.call)


@pytest.mark.parametrize("level", ["info", "error"])
async def test_a_call_that_changes_something_is_logged_even_if_it_fails_or_the_log_is_quiet(
    tmp_path: Path, level: Literal["info", "error"]
) -> None:
    given: dict[str, Any] = {"port": 0, "token_file": token_file(tmp_path)}
    with capture_events(level) as events:
        async with admin_port(AdminOptions(**given), healthy, healthy, None, Failing()) as port:
            for _ in range(2):
                assert (await ask(port, "/api/v1/drain", "POST", headers=bearer(TOKEN))).status == 500
    changed = [(each["log_level"], each["status"]) for each in events if each["event"] == "admin.changed"]
    assert changed == [(level, 500)] * 2
    failed = [each for each in events if each["event"] == "admin.request_failed"]
    assert len(failed) == 1  # at most one in a second


async def test_the_time_of_a_call_begins_when_the_caller_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed: list[None] = []
    seen: list[int] = []

    class Noting(NothingDone):
        async def do(self, call: ApiCall) -> Any:
            seen.append(len(renewed))
            return await super().do(call)

    monkeypatch.setattr(LimitedProtocol, "renew", lambda _: renewed.append(None))
    given: dict[str, Any] = {"port": 0, "token_file": token_file(tmp_path)}
    async with admin_port(AdminOptions(**given), healthy, healthy, None, Noting()) as port:
        assert (await call(port, ROUTES[0])).status == 401
        assert (await call(port, ROUTES[0], **bearer(TOKEN))).status == 200
    assert seen == [1]


def curl(*arguments: str) -> tuple[int, str]:
    """The status and the body, or what curl says."""
    command = ["curl", "-sS", "-m", "20", "-w", "\n%{http_code}", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    body, _, status = ended.stdout.rpartition("\n")
    return int(status or 0), body or ended.stderr


async def test_over_tls_a_token_or_a_certificate_of_the_authority_opens_the_api(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server, client = authority.certified("localhost"), authority.certified("ops")
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "strangers").certified("stranger")
    options = {"cert_file": server, "key_file": server, "client_ca_file": authority.file}
    async with served(tmp_path, **options) as (port, _):
        url, trust = f"https://localhost:{port}", ["--cacert", str(authority.file)]

        async def asked(*arguments: str, path: str = "/api/v1/version") -> tuple[int, str]:
            return await asyncio.to_thread(curl, *trust, *arguments, f"{url}{path}")

        assert (await asked())[0] == 401
        assert (await asked(path="/livez"))[0] == 200
        assert (await asked("-H", f"Authorization: Bearer {TOKEN}"))[0] == 200
        assert (await asked("--cert", str(client)))[0] == 200
        assert (await asked("--cert", str(stranger)))[0] == 0
        assert (await asyncio.to_thread(curl, f"http://localhost:{port}/livez"))[0] == 0
        assert (await asked("--tls-max", "1.1", path="/livez"))[0] == 0


async def test_who_does_not_finish_the_handshake_keeps_nobody_from_health(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = authority.certified("localhost")
    options = {"cert_file": server, "key_file": server}
    async with served(tmp_path, **options) as (port, _):
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(100)]
        trusting = ssl.create_default_context(cafile=str(authority.file))
        reader, writer = await asyncio.open_connection("localhost", port, ssl=trusting)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
        for _, each in idle:
            each.close()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"cert_file": "/c"}, "set together"),
        ({"client_ca_file": "/ca"}, "needs cert_file"),
    ],
)
def test_tls_that_is_half_configured_is_an_error(given: dict[str, str], told: str) -> None:
    assert issubclass(AdminOptions, Options)
    with pytest.raises(ValueError, match=told):
        AdminOptions(**given)

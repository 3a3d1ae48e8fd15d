"""The admin port and peers of every kind."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from s3sftp.admin import AdminOptions, HealthReason, HealthReport, connection_limits
from s3sftp.admin.http_service import Render, admin_port
from s3sftp.ssh import CannotListen
from tests.admin.admin_client import ask

GOOD = HealthReport()
BAD = HealthReport(
    (HealthReason("storage_unreachable", "bucket “a”: down"),), (HealthReason("workers_missing", "1 of 2"),)
)


@asynccontextmanager
async def port(
    alive: HealthReport = GOOD, ready: HealthReport = BAD, render: Render | None = None
) -> AsyncIterator[int]:
    async def is_alive() -> HealthReport:
        return alive

    async def is_ready() -> HealthReport:
        return ready

    async with admin_port(AdminOptions(port=0), is_alive, is_ready, render) as listening:
        yield listening


async def raw(to: int, data: bytes, close: bool = False) -> bytes:
    """All that is answered to some bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", to)
    try:
        writer.write(data)
        if close:
            writer.write_eof()
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_good_is_200_and_bad_503_with_each_reason_by_name() -> None:
    async with port() as listening:
        good = await ask(listening, "/livez")
        assert (good.status, good.json) == (200, {"status": "ok", "reasons": [], "warnings": []})
        bad = await ask(listening, "/readyz")
        assert bad.status == 503
        assert bad.json["status"] == "not ready"
        assert bad.reasons == {"storage_unreachable": "bucket “a”: down"}
        assert bad.warnings == {"workers_missing": "1 of 2"}
    async with port(alive=BAD) as listening:
        assert (await ask(listening, "/livez")).json["status"] == "failed"


async def test_every_answer_may_be_kept_by_nobody_and_ends_its_connection() -> None:
    async with port() as listening:
        for method, path in (("GET", "/livez"), ("HEAD", "/readyz"), ("GET", "/no"), ("PUT", "/livez")):
            said = await ask(listening, path, method)
            assert said.headers["cache-control"] == "no-store"
            assert said.headers["connection"] == "close"
            assert said.headers["server"] == "s3sftp"


async def test_head_says_what_get_does_without_the_body() -> None:
    async with port() as listening:
        get, head = await ask(listening, "/readyz"), await ask(listening, "/readyz", "HEAD")
        assert (head.status, head.body) == (503, b"")
        assert head.headers["content-length"] == str(len(get.body))


async def test_other_paths_and_methods_are_refused_with_a_sentence() -> None:
    async with port() as listening:
        nothing = await ask(listening, "/../../etc/passwd?x=/livez")
        assert (nothing.status, nothing.body) == (
            404,
            b"there is nothing here; there are /livez, /readyz, /metrics and /console\n",
        )
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"):
            said = await ask(listening, "/readyz", method)
            assert (said.status, said.headers["allow"]) == (405, "GET, HEAD")
            assert said.body == b"this can be read with GET and HEAD alone\n"


async def test_metrics_are_what_is_rendered_and_404_where_there_are_none() -> None:
    async with port() as listening:
        assert (await ask(listening, "/metrics")).status == 404

    def render(accept: str) -> tuple[bytes, str]:
        return f"for {accept}\n".encode(), "text/plain; version=1.0.0; charset=utf-8"

    async with port(render=render) as listening:
        said = await ask(listening, "/metrics", headers={"Accept": "application/openmetrics-text"})
        assert (said.status, said.body) == (200, b"for application/openmetrics-text\n")
        assert said.headers["content-type"] == "text/plain; version=1.0.0; charset=utf-8"


async def test_what_fails_inside_is_told_to_nobody_but_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    def render(accept: str) -> tuple[bytes, str]:
        raise ValueError("a secret")

    async with port(render=render) as listening:
        said = await ask(listening, "/metrics")
        assert (said.status, b"secret" in said.body) == (500, False)
        assert (await ask(listening, "/livez")).status == 200


async def test_http_1_0_and_a_peer_that_closes_its_side_are_answered() -> None:
    async with port() as listening:
        assert (await raw(listening, b"GET /livez HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.0 200")
        assert b" 200 " in await raw(listening, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n", close=True)


async def test_of_requests_sent_at_once_the_first_is_answered_and_no_other() -> None:
    async with port() as listening:
        answers = await raw(listening, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n" * 200)
        assert answers.count(b"HTTP/1.1 200") == 1


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"nonsense\r\n\r\n", id="nonsense"),
        pytest.param(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", id="an asterisk"),
        pytest.param(b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", id="CONNECT"),
        pytest.param(b"GET //[::1/livez HTTP/1.1\r\nHost: a\r\n\r\n", id="no host"),
        pytest.param(b"GET http://[::1/livez HTTP/1.1\r\nHost: a\r\n\r\n", id="half a host"),
        pytest.param(b"GET http://a:99999999/livez HTTP/1.1\r\nHost: a\r\n\r\n", id="no port"),
        pytest.param(b"GET /%ff%zz%00\x80\xff HTTP/1.1\r\nHost: a\r\n\r\n", id="no text"),
        pytest.param(b"BREW /readyz HTTP/1.1\r\nHost: a\r\n\r\n", id="an unknown method"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), id="TLS"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="SSH"),
        pytest.param(b"GET /livez HTTP/1.1\r\nA: " + b"x" * 5000 + b"\r\n\r\n", id="a long header"),
        pytest.param(b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\n\r\n", id="a long path"),
        pytest.param(b"GET /livez HTTP/1.1\r\n" + b"A: x\r\n" * 10_000 + b"\r\n", id="many headers"),
        pytest.param(b"GET /livez HTTP/1.1\r\nA: " + b"x" * 10_000_000, id="a header without end"),
        pytest.param(b"\0" * 1_000_000, id="zeros"),
        pytest.param(
            b"GET /livez HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="smuggled",
        ),
    ],
)
async def test_what_is_no_request_is_refused_and_the_port_goes_on(
    sent: bytes,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_limits, "MAX_SECONDS", 1.0)
    async with port() as listening:
        said = await raw(listening, sent)
        assert said == b"" or said.split()[1] in (b"400", b"404", b"405")
        assert said == b"" or b"Server: s3sftp\r\n" in said
        assert (await ask(listening, "/livez")).status == 200
    assert "Traceback" not in caplog.text
    assert "Traceback" not in "".join(capfd.readouterr())


async def test_a_body_is_not_read() -> None:
    async with port() as listening:
        head = b"POST /readyz HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n"
        assert b" 405 " in await raw(listening, head + b"x" * 100)


async def test_peers_that_hold_connections_keep_nobody_else_out() -> None:
    async with port() as listening, contextlib.AsyncExitStack() as stack:
        readers = []
        for number in range(4 * connection_limits.MAX_CONNECTIONS):
            reader, writer = await asyncio.open_connection("127.0.0.1", listening)
            stack.callback(writer.close)
            writer.write(b"GET /livez HTTP/1.1\r\nA:" if number % 2 else b"")
            readers.append(reader)
        assert (await ask(listening, "/livez")).status == 200
        # and the oldest had to go
        async with asyncio.timeout(20):
            assert await _all(readers[0]) == b""
        held = sum(1 for reader in readers if not reader.at_eof() and reader.exception() is None)
        assert held <= connection_limits.MAX_CONNECTIONS


async def _all(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""


async def test_a_request_that_comes_byte_by_byte_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "MAX_SECONDS", 0.5)
    async with port() as listening:
        reader, writer = await asyncio.open_connection("127.0.0.1", listening)
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(20):
                while not reader.at_eof():
                    writer.write(b"G")
                    await writer.drain()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.05):
                            await reader.read(1)
        writer.close()


async def test_an_answer_that_nobody_reads_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "MAX_SECONDS", 0.5)
    large = b"x" * 50_000_000
    async with port(render=lambda _: (large, "text/plain")) as listening:
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.setblocking(False)
            await asyncio.get_running_loop().sock_connect(deaf, ("127.0.0.1", listening))
            await asyncio.get_running_loop().sock_sendall(deaf, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            await asyncio.sleep(1.5)
            received = await asyncio.to_thread(_drain, deaf)
        assert received < len(large)


def _drain(sock: socket.socket) -> int:
    sock.setblocking(True)
    sock.settimeout(10)
    received = 0
    with contextlib.suppress(ConnectionError):
        while piece := sock.recv(1 << 20):
            received += len(piece)
    return received


async def test_a_port_in_use_is_told_by_name() -> None:
    async with port() as listening:
        with pytest.raises(CannotListen, match=f"127.0.0.1:{listening}: .*in use"):
            async with admin_port(AdminOptions(port=listening), _never, _never):
                pass


async def _never() -> HealthReport:
    raise AssertionError

"""The PROXY protocol before admission: who is believed, what is refused, and what it costs the others."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

import asyncssh
import pytest

from s3sftp.app.options import load_options
from s3sftp.auth import AuthOptions, UserOptions
from s3sftp.errors import ConfigurationError
from s3sftp.ssh import (
    Acceptor,
    ListenOptions,
    LocalAdmittedConnection,
    ServerAdmissionGate,
    SshOptions,
    bind,
    trusted_proxies,
)
from tests.ssh.listener_harness import (
    ALICES_KEY,
    CHEAP,
    PASSWORD,
    ListenerHarness,
    closed_by_server,
    listener_harness,
)
from tests.ssh.proxy_headers import LOCAL, PROXY, TCP4, UNSPEC, binary, v1, v2

pytestmark = pytest.mark.slow

PROXY_ADDRESS = "127.0.0.7"
CLIENT = "192.0.2.1"
REQUIRED = {"proxy_protocol": "required", "proxy_sources": ["127.0.0.7", "::1"]}
ALLOWED = REQUIRED | {"proxy_protocol": "allowed"}
VERSION = b"SSH-2.0-test\r\n"
EVENTS = (
    *("connection.identified", "connection.aborted", "connection.closed", "connection.refused"),
    *("source.banned", "login.failed"),
)


async def connected(harness: ListenerHarness, source: str = PROXY_ADDRESS) -> socket.socket:
    """A connection from this address on which nothing was sent."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.bind((source, 0))
    await asyncio.get_running_loop().sock_connect(
        sock, ("::1" if ":" in source else "127.0.0.1", harness.port)
    )
    return sock


async def sending(harness: ListenerHarness, data: bytes, source: str = PROXY_ADDRESS) -> socket.socket:
    sock = await connected(harness, source)
    await asyncio.get_running_loop().sock_sendall(sock, data)
    return sock


async def log_in(
    harness: ListenerHarness, header: bytes, source: str = PROXY_ADDRESS, **options: Any
) -> asyncssh.SSHClientConnection:
    sock = await sending(harness, header, source)
    wanted: dict[str, Any] = {"username": "alice", "password": PASSWORD, "preferred_auth": "password"}
    wanted |= {"client_keys": None, "known_hosts": None, "config": None, "agent_path": None}
    return await asyncssh.connect(sock=sock, **(wanted | options))


async def answer(sock: socket.socket, seconds: float = 10) -> bytes:
    """The first bytes that the server says; empty if it closes."""
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.get_running_loop().sock_recv(sock, 100)
    except ConnectionError:
        return b""


async def until_logged(harness: ListenerHarness, event: str) -> Mapping[str, Any]:
    async with asyncio.timeout(20):
        while not harness.logged(event):
            await asyncio.sleep(0.01)
    return harness.logged(event)[-1]


async def until_nobody_waits(harness: ListenerHarness) -> None:
    async with asyncio.timeout(20):
        while waiting(harness):
            await asyncio.sleep(0.01)


def waiting(harness: ListenerHarness) -> int:
    """Connections whose header has not come."""
    own = harness.listener._own
    assert own is not None
    assert own._acceptor is not None
    return len(own._acceptor._proxies._waiting)


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def lines(harness: ListenerHarness) -> list[Mapping[str, Any]]:
    """What is in the log of somebody who does not look at details."""
    return [event for event in harness.events if event["log_level"] != "debug" and event["event"] in EVENTS]


# -- whose a connection is


@pytest.mark.parametrize("mode", [REQUIRED, ALLOWED], ids=["required", "allowed"])
@pytest.mark.parametrize("source", [PROXY_ADDRESS, "::1"])
@pytest.mark.parametrize("client", [CLIENT, "2001:db8::1"])
@pytest.mark.parametrize("version", [v1, v2])
async def test_a_connection_is_the_clients_and_not_the_proxys(
    mode: Mapping[str, Any], source: str, client: str, version: Any
) -> None:
    async with listener_harness(listen={**mode, "host": "::1" if ":" in source else "127.0.0.1"}) as harness:
        async with (
            await log_in(harness, version(client), source) as connection,
            connection.start_sftp_client(),
        ):
            shown = f"[{client}]:50000" if ":" in client else f"{client}:50000"
            port = connection.get_extra_info("sockname")[1]
            proxy = f"[{source}]:{port}" if ":" in source else f"{source}:{port}"
            (accepted,) = harness.logged("connection.identified")
            assert (accepted["peer"], accepted["proxy"]) == (shown, proxy)
            assert harness.logged("login.accepted")[0]["peer"] == shown
            (inside,) = harness.listener._shared.connections
            assert inside._open_conn.get_extra_info("peername") == (client, 50000)
            assert inside._open_conn._peer_addr == client


async def test_a_backend_and_its_events_see_the_client() -> None:
    async with (
        listener_harness(listen=REQUIRED) as harness,
        await log_in(harness, v2(CLIENT)) as connection,
        connection.start_sftp_client() as sftp,
    ):
        await sftp.listdir("/")
        (inside,) = harness.listener._shared.connections
        assert inside._peer == f"{CLIENT}:50000"
        proof = inside._login.proof
        assert proof is not None
        assert inside._describe(proof.identity).peer == f"{CLIENT}:50000"


async def test_a_load_balancer_that_keeps_the_clients_address_and_sends_it_too_can_be_banned() -> None:
    """The header then names the other end of the connection itself, as checks of version 1 do."""
    async with listener_harness(listen=REQUIRED, auth={"ban_failures": 1}) as harness:
        sock = await connected(harness)
        header = v2(*sock.getsockname())
        await asyncio.get_running_loop().sock_sendall(sock, header)
        with pytest.raises((asyncssh.PermissionDenied, asyncssh.ConnectionLost)):
            await asyncssh.connect(
                sock=sock, username="alice", password="wrong", client_keys=None, known_hosts=None, config=None
            )
        assert harness.logged("source.banned")


@pytest.mark.parametrize("header", [v1(CLIENT), v2(CLIENT)])
async def test_a_header_that_comes_byte_by_byte_is_read_and_nothing_behind_it_is_lost(header: bytes) -> None:
    async with listener_harness(listen=REQUIRED) as harness:
        sock = await connected(harness)
        for byte in header + VERSION:
            await asyncio.get_running_loop().sock_sendall(sock, bytes([byte]))
            await asyncio.sleep(0.001)
        async with asyncio.timeout(20):
            while not harness.logged("connection.identified"):
                await asyncio.sleep(0.01)
        received = b""
        while b"SSH-2.0-s3sftp" not in received or len(received) < 100:  # its version, and then its KEXINIT
            more = await answer(sock)
            assert more, "it waits for what was lost"
            received += more
        assert harness.logged("connection.identified")[0]["peer"] == f"{CLIENT}:50000"
        sock.close()


async def test_the_option_from_of_a_key_is_about_the_client() -> None:
    line = f'from="{CLIENT}" ' + ALICES_KEY.export_public_key().decode()
    users = {"alice": UserOptions(authorized_keys=(line,))}
    with_key = {"client_keys": [ALICES_KEY], "password": None, "preferred_auth": "publickey"}
    async with listener_harness(users=users, listen=REQUIRED) as harness:
        (await log_in(harness, v2(CLIENT), **with_key)).close()
        with pytest.raises(asyncssh.PermissionDenied):
            await log_in(harness, v2("192.0.2.2"), **with_key)


async def test_a_ban_is_the_clients_and_neither_the_proxys_nor_anothers() -> None:
    async with listener_harness(listen=REQUIRED, auth={"ban_failures": 2}) as harness:
        for _ in range(2):
            with pytest.raises((asyncssh.PermissionDenied, asyncssh.ConnectionLost)):
                await log_in(harness, v2(CLIENT), password="wrong")
        (banned,) = harness.logged("source.banned")
        assert (banned["source"], banned["failures"], banned["log_level"]) == (CLIENT, 2, "warning")
        sock = await sending(harness, v1(CLIENT) + VERSION)
        assert await answer(sock) == b""
        refused = await until_logged(harness, "connection.refused")
        assert (refused["peer"], refused["reason"]) == (f"{CLIENT}:50000", "the source is banned")
        assert refused["proxy"].startswith(PROXY_ADDRESS)
        (await log_in(harness, v2("192.0.2.2"))).close()
        sock.close()


async def test_the_limit_of_one_source_holds_for_each_client_and_not_for_the_proxy() -> None:
    async with listener_harness(listen=REQUIRED, ssh={"max_unauthenticated_per_source": 1}) as harness:
        first = await sending(harness, v2(CLIENT))
        assert await answer(first)
        second = await sending(harness, v2(CLIENT, 50001))
        with pytest.raises(TimeoutError):
            await answer(second, 0.3)
        third = await sending(harness, v2("192.0.2.2"))
        assert await answer(third)
        for sock in (first, second, third):
            reset(sock)


async def test_shared_sources_are_clients_and_not_proxies() -> None:
    limits = {"max_unauthenticated_per_source": 1, "shared_sources": [PROXY_ADDRESS]}
    async with listener_harness(listen=REQUIRED, ssh=limits) as harness:
        sockets = [await sending(harness, v2(CLIENT, port)) for port in (50000, 50001)]
        assert await answer(sockets[0])
        with pytest.raises(TimeoutError):
            await answer(sockets[1], 0.3)
        for sock in sockets:
            reset(sock)


# -- who is believed


async def test_where_it_is_required_who_is_no_trusted_proxy_is_refused_and_told_what_to_do() -> None:
    async with listener_harness(listen=REQUIRED) as harness:
        for data in (VERSION, v2(CLIENT) + VERSION):
            sock = await sending(harness, data, "127.0.0.9")
            assert await answer(sock) == b""
            sock.close()
        (refused,) = harness.logged("connection.refused")
        assert refused["peer"].startswith("127.0.0.9:")
        assert "listen.proxy_sources" in refused["advice"]


async def test_where_it_is_required_a_trusted_proxy_without_a_header_is_refused_and_told_what_to_do() -> None:
    async with listener_harness(listen=REQUIRED) as harness:
        sock = await sending(harness, VERSION)
        assert await answer(sock) == b""
        refused = await until_logged(harness, "connection.refused")
        assert refused["proxy"].startswith(PROXY_ADDRESS)
        assert "send-proxy-v2" in refused["advice"]
        sock.close()


@pytest.mark.parametrize("header", [v1(CLIENT), v2(CLIENT), binary(LOCAL, UNSPEC)])
async def test_nobody_else_can_claim_an_address_where_it_is_allowed(header: bytes) -> None:
    async with listener_harness(listen=ALLOWED, log_level="debug") as harness:
        sock = await sending(harness, header + VERSION, "127.0.0.9")
        assert await closed(sock)
        (accepted,) = harness.logged("connection.opened")
        assert accepted["peer"].startswith("127.0.0.9:")
        assert "proxy" not in accepted
        hint = await until_logged(harness, "connection.proxy_header_unexpected")
        assert hint["peer"].startswith("127.0.0.9:")
        assert "listen.proxy_sources" in hint["advice"]


async def test_nobody_else_escapes_a_ban_by_a_header_where_it_is_allowed() -> None:
    async with listener_harness(listen=ALLOWED, auth={"ban_failures": 1}) as harness:
        with pytest.raises((asyncssh.PermissionDenied, asyncssh.ConnectionLost)):
            await harness.connect(password="wrong", source="127.0.0.9")
        sock = await sending(harness, v2(CLIENT) + VERSION, "127.0.0.9")
        assert await answer(sock) == b""
        assert (await until_logged(harness, "connection.refused"))["reason"] == "the source is banned"
        sock.close()


async def test_where_it_is_allowed_a_trusted_source_without_a_header_is_served_as_what_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trusted_proxies, "HEADER_SECONDS", 0.2)
    async with listener_harness(listen=ALLOWED) as harness:
        (await harness.connect(source=PROXY_ADDRESS)).close()
        assert harness.logged("connection.identified")[0]["peer"].startswith(PROXY_ADDRESS)
        silent = await connected(harness)
        assert (await answer(silent)).startswith(b"SSH-2.0-s3sftp")  # it may be waiting for that
        silent.close()


@pytest.mark.parametrize("header", [v1(CLIENT), v2(CLIENT)])
async def test_where_it_is_off_a_header_is_told_with_the_option_that_would_read_it(header: bytes) -> None:
    async with listener_harness() as harness:
        sock = await sending(harness, header + VERSION)
        assert await closed(sock)
        hint = await until_logged(harness, "connection.proxy_header_unexpected")
        assert hint["peer"].startswith(PROXY_ADDRESS)
        assert "listen.proxy_protocol" in hint["advice"]


@pytest.mark.parametrize("first", [v1(CLIENT), v2(CLIENT)])
@pytest.mark.parametrize("second", [v1("192.0.2.2"), v2("192.0.2.2")])
async def test_a_second_header_is_no_header(first: bytes, second: bytes) -> None:
    async with listener_harness(listen=REQUIRED, log_level="debug") as harness:
        sock = await sending(harness, first + second + VERSION)
        assert await closed(sock)
        (accepted,) = harness.logged("connection.opened")
        assert accepted["peer"] == f"{CLIENT}:50000"
        assert (
            "second header" in (await until_logged(harness, "connection.proxy_header_unexpected"))["advice"]
        )


async def closed(sock: socket.socket) -> bool:
    reader, writer = await asyncio.open_connection(sock=sock)
    try:
        return await closed_by_server(reader)
    finally:
        writer.close()


# -- what is wrong, and what it costs


@pytest.mark.parametrize("mode", [REQUIRED, ALLOWED], ids=["required", "allowed"])
@pytest.mark.parametrize("header", [v1("2001:db8::1"), v2("2001:db8::1")])
async def test_a_header_that_ends_at_any_byte_serves_nobody_and_leaves_nothing(
    mode: Mapping[str, Any], header: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trusted_proxies, "HEADER_SECONDS", 0.5)
    async with listener_harness(listen=mode) as harness:
        sockets = [await sending(harness, header[:end]) for end in range(1, len(header))]
        for sock in sockets[::2]:
            sock.shutdown(socket.SHUT_WR)
        for sock in sockets[1::4]:
            reset(sock)
        for sock in sockets:
            if sock.fileno() >= 0:
                assert await answer(sock) == b""
                sock.close()
        assert len(harness.logged("connection.refused")) == 1, "of equal ones the log has one a minute"
        assert not harness.logged("connection.identified")
        await until_nobody_waits(harness)


@pytest.mark.parametrize(
    "data",
    [
        b"PROXY " + b"x" * 101,
        b"PROXY TCP4 192.0.2.1 192.0.2.22 50000 22\n" + VERSION,
        binary(PROXY, TCP4, b"", length=65535),
        binary(0x2F, TCP4, bytes(12)),
        binary(PROXY, TCP4, bytes(4)) + VERSION,
    ],
    ids=["no end", "LF", "64 KiB", "command", "short"],
)
@pytest.mark.parametrize("mode", [REQUIRED, ALLOWED], ids=["required", "allowed"])
async def test_what_is_wrong_is_refused_at_once_and_said(mode: Mapping[str, Any], data: bytes) -> None:
    async with listener_harness(listen=mode) as harness:
        sock = await sending(harness, data)
        assert await answer(sock, trusted_proxies.HEADER_SECONDS / 2) == b""
        refused = await until_logged(harness, "connection.refused")
        assert refused["reason"].startswith("wrong PROXY header: ")
        assert refused["proxy"].startswith(PROXY_ADDRESS)
        assert not harness.logged("connection.identified")
        sock.close()


@pytest.mark.parametrize("part", [b"", b"PROXY TCP4", v2(CLIENT)[:14]], ids=["nothing", "v1", "v2"])
async def test_a_header_has_a_limited_time(part: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trusted_proxies, "HEADER_SECONDS", 0.3)
    async with listener_harness(listen=REQUIRED) as harness:
        sock = await sending(harness, part)
        assert await answer(sock) == b""
        refused = await until_logged(harness, "connection.refused")
        assert refused["reason"] == ("incomplete PROXY header" if part else "no PROXY header")
        assert not waiting(harness)
        sock.close()


async def test_those_that_send_no_header_are_bounded_and_hold_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trusted_proxies, "MAX_WAITING", 20)
    sources = {"proxy_protocol": "required", "proxy_sources": ["127.0.0.0/8"]}
    async with listener_harness(listen=sources, ssh={"max_unauthenticated": 5, "max_queued": 5}) as harness:
        slow = await connected(harness, "127.0.0.8")
        flood = [await sending(harness, part, "127.0.0.9") for part in (b"", b"P", v2(CLIENT)[:20]) * 20]
        async with asyncio.timeout(20):
            while waiting(harness) != 20:
                await asyncio.sleep(0.01)
        (await log_in(harness, v2(CLIENT))).close()
        # the one of another source is still there
        await asyncio.get_running_loop().sock_sendall(slow, v2(CLIENT))
        assert (await answer(slow)).startswith(b"SSH-2.0-s3sftp")
        for sock in (slow, *flood):
            reset(sock)
        await until_nobody_waits(harness)


async def test_a_part_of_a_header_is_looked_at_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[bytes] = []
    parse = trusted_proxies.proxy_header.parse
    monkeypatch.setattr(
        trusted_proxies.proxy_header, "parse", lambda data: (looks.append(data), parse(data))[1]
    )
    async with listener_harness(listen=REQUIRED) as harness:
        sock = await sending(harness, v2(CLIENT)[:14])
        async with asyncio.timeout(20):
            while not looks:
                await asyncio.sleep(0.01)
        began = time.monotonic()
        await asyncio.sleep(0.3)
        assert len(looks) < 10 * (time.monotonic() - began) / 0.3
        await asyncio.get_running_loop().sock_sendall(sock, v2(CLIENT)[14:])
        assert (await answer(sock)).startswith(b"SSH-2.0-")
        sock.close()


async def test_a_stopping_server_keeps_none_of_them() -> None:
    async with listener_harness(listen=REQUIRED) as harness:
        sock = await sending(harness, b"PROXY TCP4 ")
        async with asyncio.timeout(20):
            while not waiting(harness):
                await asyncio.sleep(0.01)
        await harness.listener.stop_accepting()
        assert await answer(sock) == b""
        assert not waiting(harness)
        sock.close()


class Full:
    """Servers of which none has room for now."""

    def __init__(self) -> None:
        self.is_ready = True
        self.served: list[str] = []

    def can_serve(self) -> bool:
        return self.is_ready

    def serve(self, admitted: LocalAdmittedConnection, sock: socket.socket) -> None:
        assert self.is_ready
        self.served.append(admitted.peer.shown)
        sock.close()
        admitted.leave()


async def test_a_header_that_comes_while_nobody_can_serve_waits_for_somebody() -> None:
    servers = Full()
    listen = ListenOptions(host="127.0.0.1", port=0, **REQUIRED)  # type: ignore[arg-type]
    acceptor = Acceptor(ServerAdmissionGate(SshOptions(), AuthOptions()), listen, bind(listen), servers, 0)
    acceptor.open()
    loop = asyncio.get_running_loop()
    try:
        sockets = []
        for _ in (50000, 50001):
            sock = socket.socket()
            sock.setblocking(False)
            sock.bind((PROXY_ADDRESS, 0))
            await loop.sock_connect(sock, ("127.0.0.1", acceptor.port))
            sockets.append(sock)
        async with asyncio.timeout(20):
            while len(acceptor._proxies._waiting) < 2:
                await asyncio.sleep(0.01)
        servers.is_ready = False
        for port, sock in zip((50000, 50001), sockets, strict=True):
            await loop.sock_sendall(sock, v2(CLIENT, port))
        async with asyncio.timeout(20):
            while acceptor._proxies._waiting:
                await asyncio.sleep(0.01)
        assert not servers.served
        servers.is_ready = True
        async with asyncio.timeout(20):
            while len(servers.served) < 2:
                await asyncio.sleep(0.01)
        assert servers.served == [f"{CLIENT}:50000", f"{CLIENT}:50001"]
    finally:
        acceptor.close()
        for sock in sockets:
            sock.close()


# -- health checks, and what a load balancer forwards without an address


def own_header(sock: socket.socket) -> bytes:
    """What haproxy sends in version 1 for a check: the two ends of the connection itself."""
    return v1(*(sock.getsockname()[0], "127.0.0.1"), source_port=sock.getsockname()[1])


@pytest.mark.parametrize("mode", [REQUIRED, ALLOWED], ids=["required", "allowed"])
@pytest.mark.parametrize("how", ["closed", "reset"])
@pytest.mark.parametrize("sent", ["nothing", "LOCAL", "UNKNOWN", "its own address"])
async def test_a_health_check_is_no_client(mode: Mapping[str, Any], how: str, sent: str) -> None:
    async with listener_harness(listen=mode, auth={"ban_failures": 1}) as harness:
        for _ in range(5):
            sock = await connected(harness)
            header = {
                "nothing": b"",
                "LOCAL": binary(LOCAL, UNSPEC),
                "UNKNOWN": b"PROXY UNKNOWN\r\n",
                "its own address": own_header(sock),
            }[sent]
            if header:
                await asyncio.get_running_loop().sock_sendall(sock, header)
            reset(sock) if how == "reset" else sock.close()
        (await log_in(harness, v2(CLIENT))).close()
        await until_nobody_waits(harness)
        peers = {event["peer"] for event in lines(harness)}
        assert peers == {f"{CLIENT}:50000"}
        assert harness.listener.connections <= 1


@pytest.mark.parametrize("header", [binary(LOCAL, UNSPEC), b"PROXY UNKNOWN\r\n"], ids=["LOCAL", "UNKNOWN"])
async def test_a_health_check_that_looks_at_the_version_sees_it_and_is_no_client_in_the_log(
    header: bytes,
) -> None:
    async with listener_harness(listen=REQUIRED, auth={"ban_failures": 1}) as harness:
        for _ in range(3):
            sock = await sending(harness, header)
            assert (await answer(sock)).startswith(b"SSH-2.0-s3sftp")
            reset(sock)
        await harness.empties()
        assert lines(harness) == []


async def test_one_that_the_server_closes_is_no_client_in_the_log_either() -> None:
    async with listener_harness(listen=REQUIRED, log_level="debug") as harness:
        check = await sending(harness, binary(LOCAL, UNSPEC))
        assert (await answer(check)).startswith(b"SSH-2.0-s3sftp")
        await harness.listener.stop()
        await harness.empties()
        assert [line["log_level"] for line in harness.logged("connection.aborted")] == ["debug"]
        assert lines(harness) == []
        check.close()


@pytest.mark.parametrize(
    "header",
    [binary(LOCAL, UNSPEC), binary(PROXY, UNSPEC), b"PROXY UNKNOWN\r\n"],
    ids=["LOCAL", "UNSPEC", "UNKNOWN"],
)
async def test_without_a_clients_address_it_is_the_proxys_own_which_is_never_banned(header: bytes) -> None:
    options = {"max_unauthenticated_per_source": 1}
    async with listener_harness(listen=REQUIRED, auth={"ban_failures": 1}, ssh=options) as harness:
        for _ in range(2):
            with pytest.raises(asyncssh.PermissionDenied):
                await log_in(harness, header, password="wrong")
        assert not harness.logged("source.banned")
        silent = await sending(harness, header)
        assert await answer(silent)
        async with await log_in(harness, header):
            assert harness.logged("login.accepted")[0]["peer"].startswith(PROXY_ADDRESS)
        reset(silent)


@pytest.mark.parametrize(
    "header",
    [binary(LOCAL, UNSPEC), binary(PROXY, UNSPEC), b"PROXY UNKNOWN\r\n"],
    ids=["LOCAL", "UNSPEC", "UNKNOWN"],
)
async def test_without_a_clients_address_rules_on_addresses_refuse_the_login(header: bytes) -> None:
    """They do not take the proxy's address for the client's."""
    key = f'from="127.0.0.0/8" {ALICES_KEY.export_public_key().decode()}'
    hashed = CHEAP.hash(PASSWORD)
    users = {
        "alice": UserOptions(password_hash=hashed, authorized_keys=key),
        "bob": UserOptions(password_hash=hashed, networks="127.0.0.0/8"),
    }
    by_key: dict[str, Any] = {"client_keys": [ALICES_KEY], "preferred_auth": "publickey"}
    async with listener_harness(listen=REQUIRED, users=users) as harness:
        with pytest.raises(asyncssh.PermissionDenied):
            await log_in(harness, header, username="bob")
        with pytest.raises(asyncssh.PermissionDenied):
            await log_in(harness, header, **by_key)
        (await log_in(harness, header)).close()
        (await log_in(harness, v2("127.0.0.9"), username="bob")).close()
        (await log_in(harness, v2("127.0.0.9"), **by_key)).close()
    async with listener_harness(listen=REQUIRED, auth={"networks": "127.0.0.0/8"}) as harness:
        with pytest.raises(asyncssh.PermissionDenied):
            await log_in(harness, header)


async def test_a_ban_of_the_proxys_address_is_not_for_its_health_checks() -> None:
    async with listener_harness(listen=ALLOWED, auth={"ban_failures": 1}) as harness:
        with pytest.raises((asyncssh.PermissionDenied, asyncssh.ConnectionLost)):
            await harness.connect(password="wrong", source=PROXY_ADDRESS)
        assert harness.logged("source.banned")
        check = await sending(harness, binary(LOCAL, UNSPEC))
        assert (await answer(check)).startswith(b"SSH-2.0-s3sftp")
        (await log_in(harness, v2(CLIENT))).close()
        reset(check)


# -- options


@pytest.mark.parametrize("mode", ["allowed", "required"])
def test_it_needs_to_know_whom_to_believe(mode: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        load_options(environ={"S3SFTP_LISTEN__PROXY_PROTOCOL": mode}, needs_users=False)
    (problem,) = [each for each in wrong.value.problems if "proxy" in each]
    assert "needs proxy_sources" in problem


def test_sources_are_addresses_and_networks() -> None:
    given = ListenOptions(proxy_protocol="required", proxy_sources=("10.1.2.3/8", "::1"))
    assert given.proxy_sources == ("10.0.0.0/8", "::1/128")
    with pytest.raises(ValueError, match="IP addresses or networks"):
        ListenOptions(proxy_sources=("lb.example.com",))


async def test_a_source_of_ipv4_may_be_written_as_ipv6() -> None:
    """As the addresses of a socket for both are shown by other programs."""
    sources = ["::ffff:127.0.0.7", "::ffff:10.0.0.0/104"]
    assert ListenOptions(proxy_sources=sources).proxy_sources == ("127.0.0.7/32", "10.0.0.0/8")
    assert SshOptions(shared_sources=sources).shared_sources == ("127.0.0.7/32", "10.0.0.0/8")
    async with listener_harness(listen=REQUIRED | {"proxy_sources": sources}) as harness:
        async with await log_in(harness, v2(CLIENT)):
            assert harness.logged("login.accepted")[0]["peer"] == f"{CLIENT}:50000"


@pytest.mark.parametrize("everybody", ["::/0", "0.0.0.0/0", "::ffff:0:0/96"])
async def test_to_believe_everybody_is_a_warning_at_start(everybody: str) -> None:
    async with listener_harness(listen=REQUIRED | {"proxy_sources": [everybody]}) as harness:
        (warning,) = harness.logged("listener.proxy_sources_unrestricted")
        assert "load balancers" in warning["detail"]
    async with listener_harness(listen=REQUIRED) as harness:
        assert not harness.logged("listener.proxy_sources_unrestricted")

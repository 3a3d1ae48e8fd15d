"""haproxy in front, by both versions of the PROXY protocol: OpenSSH behind it is known by its own address."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from testbed.haproxy import Haproxy, Proxied
from testbed.s3_store import Store, new_bucket_name
from tests.support.commands import Result, installed, run
from tests.support.server import Server

SOURCE = "127.0.0.7"
"""Where haproxy connects from, over IPv4."""
VERSIONS = {"v1": "send-proxy", "v2": "send-proxy-v2"}
PLACES = [f"{version}-{family}" for version in VERSIONS for family in ("ipv4", "ipv6")]
CHECKS = {
    "with a header, v1": "send-proxy check",
    "with a header, v2": "send-proxy-v2 check",
    "without a header": "send-proxy-v2 check no-check-send-proxy",
    "of the version, v1": "send-proxy check",
    "of the version, v2": "send-proxy-v2 check",
}
FROM = "127.0.0.31"


@dataclass
class Site:
    """A server, and haproxy in front of it."""

    server: Server
    haproxy: Haproxy
    key_file: Path
    """Of bob, who may come from FROM alone."""

    async def sftp(self, place: str, source: str, *, user: str = "alice", key: Path | None = None) -> Result:
        """OpenSSH's client through haproxy: makes a directory, lists, removes it."""
        host = "::1" if ":" in source else "127.0.0.1"
        options = {
            "BindAddress": source,
            "IdentityFile": key or self.server.key_file,
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "UserKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "no",
            "BatchMode": "yes",
            "LogLevel": "ERROR",
        }
        batch = self.server.directory / f"batch-{source.replace(':', '')}"
        batch.write_text("mkdir there\nls -l\nrmdir there\n")
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        port = str(self.haproxy.ports[place])
        target = f"{user}@[{host}]" if ":" in host else f"{user}@{host}"
        return await run([installed("sftp"), "-F", "none", *words, "-b", str(batch), "-P", port, target])

    def of(self, event: str, source: str) -> list[dict[str, Any]]:
        """What the log says of connections from this address."""
        start = f"[{source}]:" if ":" in source else f"{source}:"
        return [each for each in self.server.events(event) if each.get("peer", "").startswith(start)]


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two workers"])
def site(
    request: pytest.FixtureRequest, seaweed: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    installed("haproxy")
    directory = tmp_path_factory.mktemp("haproxy")
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(str(directory / "bob"))
    (directory / "bob").chmod(0o600)
    bucket = new_bucket_name()
    seaweed.make_bucket(bucket)
    options: dict[str, dict[str, object]] = {
        "listen": {"host": "", "proxy_protocol": "required", "proxy_sources": [SOURCE, "::1"]},
        "auth": {"ban_failures": 3},
        "ssh": {"max_unauthenticated_per_source": 2},
        "server": {"workers": request.param},
        "users.bob": {
            "authorized_keys": [f'from="{FROM}" {key.export_public_key().decode().strip()}'],
            "prefix": "bob/",
        },
    }
    server = Server(directory / "server", seaweed, bucket, options).start()
    port = server.port
    proxied = [
        *(
            Proxied(f"{name}-ipv4", f"127.0.0.1:{port} source {SOURCE} {sends}")
            for name, sends in VERSIONS.items()
        ),
        *(Proxied(f"{name}-ipv6", f"[::1]:{port} {sends}", "::1") for name, sends in VERSIONS.items()),
    ]
    haproxy = Haproxy(directory / "haproxy", proxied).start()
    try:
        yield Site(server, haproxy, directory / "bob")
        assert "Traceback" not in server.output()
    finally:
        haproxy.close()
        server.close()
        seaweed.drop_bucket(bucket)


@pytest.mark.parametrize("place", PLACES)
async def test_openssh_behind_haproxy_is_known_by_its_own_address(site: Site, place: str) -> None:
    source = "::1" if place.endswith("ipv6") else f"127.0.0.{10 + PLACES.index(place)}"
    before = len(site.of("login.accepted", source))
    (await site.sftp(place, source)).ok()
    await site.server.until(
        lambda: len(site.of("login.accepted", source)) == before + 1, "the login in the log"
    )
    accepted = site.of("connection.identified", source)[-1]
    assert accepted["proxy"].startswith("[::1]:" if place.endswith("ipv6") else f"{SOURCE}:")
    assert accepted["peer"] != accepted["proxy"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_key_may_be_used_from_the_clients_address_alone(site: Site, version: str) -> None:
    (await site.sftp(f"{version}-ipv4", FROM, user="bob", key=site.key_file)).ok()
    other = await site.sftp(f"{version}-ipv4", "127.0.0.32", user="bob", key=site.key_file)
    assert "Permission denied" in other.failed().text


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_client_that_guesses_is_banned_and_the_others_behind_haproxy_are_not(
    site: Site, version: str, tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(stranger))
    stranger.chmod(0o600)
    guesser = f"127.0.0.{40 + list(VERSIONS).index(version)}"
    for _ in range(3):
        (await site.sftp(f"{version}-ipv4", guesser, key=stranger)).failed()
    await site.server.until(
        lambda: any(each["source"] == guesser for each in site.server.events("source.banned")), "the ban"
    )
    async with asyncio.timeout(30):
        while not site.of("connection.refused", guesser):  # of equal refusals the log has one a second
            (await site.sftp(f"{version}-ipv4", guesser)).failed()
    refused = site.of("connection.refused", guesser)[-1]
    assert refused["reason"] == "the source is banned"
    assert refused["proxy"].startswith(f"{SOURCE}:")
    (await site.sftp(f"{version}-ipv4", "127.0.0.49")).ok()
    assert SOURCE not in {each["source"] for each in site.server.events("source.banned")}


async def test_the_limit_of_one_source_is_the_clients(site: Site) -> None:
    async def open_one(source: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        port = site.haproxy.ports["v2-ipv4"]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
        writer.write(b"SSH-2.0-test\r\n")
        return reader, writer

    async def is_greeted(reader: asyncio.StreamReader, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return (await reader.readline()).startswith(b"SSH-2.0-")
        except TimeoutError:
            return False

    one = [await open_one("127.0.0.51") for _ in range(2)]
    assert all([await is_greeted(reader, 20) for reader, _ in one])
    third, other = await open_one("127.0.0.51"), await open_one("127.0.0.52")
    assert await is_greeted(other[0], 20)
    assert not await is_greeted(third[0], 0.5)
    for _, writer in (*one, third, other):
        writer.close()


@pytest.mark.parametrize("check", CHECKS)
async def test_health_checks_of_haproxy_succeed_and_are_no_clients(
    site: Site, check: str, tmp_path: Path
) -> None:
    lines = ("option tcp-check", "tcp-check expect rstring ^SSH-2.0-") if "version" in check else ()
    known = len(site.server.events())
    server = f"127.0.0.1:{site.server.port} source {SOURCE} {CHECKS[check]} inter 50ms"
    haproxy = Haproxy(tmp_path, [Proxied("checked", server, lines=lines)]).start()
    try:
        wanted = ("UP", "L7OK" if lines else "L4OK")
        await site.server.until(lambda: haproxy.checks("checked") == wanted, f"{wanted} in haproxy")
        await asyncio.sleep(1)  # several more of them
        assert haproxy.checks("checked") == wanted
    finally:
        haproxy.close()
    said = [each for each in site.server.events()[known:] if each["level"] != "debug"]
    # refusals without a client only name the proxy; another test's client may come through it meanwhile
    assert [each for each in said if each.get("peer", each.get("proxy", "")).startswith(SOURCE)] == []


async def test_checks_of_haproxy_that_send_no_header_leave_one_line_at_most(
    seaweed: Store, tmp_path: Path
) -> None:
    """To a server that knows nothing of load balancers."""
    bucket = new_bucket_name()
    seaweed.make_bucket(bucket)
    installed("haproxy")
    server = await Server(tmp_path / "server", seaweed, bucket).astart()
    haproxy = Haproxy(tmp_path, [Proxied("checked", f"127.0.0.1:{server.port} check inter 50ms")]).start()
    try:
        await server.until(lambda: haproxy.checks("checked") == ("UP", "L4OK"), "haproxy's check")
        await asyncio.sleep(1)  # several more of them
    finally:
        haproxy.close()
        server.close()
        seaweed.drop_bucket(bucket)
    started = next(n for n, event in enumerate(server.events()) if event["event"] == "server.started")
    said = [event["event"] for event in server.events()[started + 1 :] if event["level"] != "debug"]
    # haproxy resets at once: it may be gone before the server has looked at it
    assert said in ([], ["connection.no_client"])

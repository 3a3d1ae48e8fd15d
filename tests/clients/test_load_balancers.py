"""docs/load-balancers.md does what it says: its configurations are run, with other addresses."""

from __future__ import annotations

import asyncio
import copy
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.processes import Process, accepts, free_port
from testbed.s3_store import Store, new_bucket_name
from tests.support.clients import Clients
from tests.support.commands import installed
from tests.support.server import Server

PAGE = Path(__file__).parents[2] / "docs/load-balancers.md"
NGINX_MODULES = Path("/usr/lib/nginx/modules")


@pytest.fixture(scope="module")
def server(seaweed: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    bucket = new_bucket_name()
    seaweed.make_bucket(bucket)
    listen = {"proxy_protocol": "required", "proxy_sources": ["127.0.0.1"]}
    running = Server(tmp_path_factory.mktemp("balanced"), seaweed, bucket, {"listen": listen}).start()
    try:
        yield running
    finally:
        running.close()
        seaweed.drop_bucket(bucket)


def configuration(language: str, server: Server, port: int) -> str:
    """The block of the page, about this server."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    assert found is not None
    text = found.group(1)
    for documented, here in (("10.0.1.21:2022", f"127.0.0.1:{server.port}"), ("2222", str(port))):
        assert text.count(documented) == 1
        text = text.replace(documented, here)
    return text


def start(name: str, server: Server, directory: Path, port: int) -> Process:
    program = installed(name)
    file = directory / f"{name}.cfg"
    text = configuration(name, server, port)
    if name == "haproxy":
        file.write_text(text)
        return Process([program, "-db", "-f", str(file)], directory / "log")
    module = NGINX_MODULES / "ngx_stream_module.so"
    file.write_text(
        f"load_module {installed('the stream module of nginx', path=str(module))};\n"
        f"pid {directory}/pid;\nerror_log stderr;\ndaemon off;\nevents {{}}\n{text}"
    )
    return Process([program, "-e", "stderr", "-c", str(file)], directory / "log")


@pytest.mark.parametrize("name", ["haproxy", "nginx"])
async def test_the_documented_configuration_brings_openssh_through_with_its_own_address(
    name: str, server: Server, tmp_path: Path
) -> None:
    port = free_port()
    balancer = start(name, server, tmp_path, port)
    try:
        await asyncio.to_thread(balancer.wait_ready, lambda: accepts(port))
        balanced = copy.copy(server)
        balanced.port, balanced.known_hosts = port, tmp_path / "known_hosts"
        balanced.known_hosts.write_text(
            server.known_hosts.read_text().replace(str(server.port), str(port), 1)
        )
        source = "127.0.0.21" if name == "haproxy" else "127.0.0.22"
        clients = Clients(balanced, tmp_path / "home")
        (await clients.sftp("ls -l", options=("-o", f"BindAddress={source}"))).ok()
        peers = [event["peer"] for event in server.events("login.accepted")]
        assert any(peer.startswith(f"{source}:") for peer in peers)
    finally:
        balancer.kill()


def test_every_value_and_line_that_the_page_names_is_there() -> None:
    page = PAGE.read_text("utf-8")
    sources = "".join(
        (Path(__file__).parents[2] / "s3sftp/ssh" / name).read_text("utf-8")
        for name in ("trusted_proxies.py", "silent_clients.py", "admission_gate.py")
    )
    table = page.partition("## What the log says when it is wrong")[2]
    lines = re.findall(
        r"`([A-Za-z][^`]+)`", "\n".join(row.split("|")[1] for row in re.findall(r"^\| `.*", table, re.M))
    )
    assert len(lines) > 5
    for line in lines:
        for part in line.split("…"):
            assert part.strip() in sources

"""The compose file: what it says is read by podman-compose, and its two commands work together.

The commands run as processes, with the file's own arguments and environment: its images come from a registry
that a test run may not reach.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import yaml

from testbed.processes import Process, free_port, program
from tests.cli.command_process import clean_environment, write_key_pair
from tests.support.commands import installed

FILE = Path(__file__).parents[2] / "compose.yaml"


@pytest.fixture
def services() -> dict[str, Any]:
    return dict(yaml.safe_load(FILE.read_text())["services"])


def _environment(service: dict[str, Any]) -> dict[str, str]:
    """As compose fills it in where nobody sets anything: `${NAME:-default}`."""
    return {
        name: value.partition(":-")[2].rstrip("}") if value.startswith("${") else value
        for name, value in service["environment"].items()
    }


def test_podman_compose_reads_it() -> None:
    done = subprocess.run(
        [installed("podman-compose"), "--file", str(FILE), "config"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert set(yaml.safe_load(done.stdout)["services"]) == {"s3sftp", "seaweedfs"}


def test_it_gives_the_server_as_little_as_the_image_needs(services: dict[str, Any]) -> None:
    server = services["s3sftp"]
    assert server["read_only"] is True
    assert server["cap_drop"] == ["ALL"]
    assert server["security_opt"] == ["no-new-privileges:true"]
    assert [port.rpartition(":")[2] for port in server["ports"]] == ["2022", "9090"]
    assert server["ports"][1].startswith("127.0.0.1:"), "metrics are not for everybody"


@pytest.fixture
def composed(services: dict[str, Any], tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """Both commands of the file, running; the port of the server and the user's key."""
    weed = program("weed") or installed("weed")
    ports = {name: free_port() for name in ("s3", "master", "volume", "filer", "admin", "sftp")}
    write_key_pair(tmp_path / "key")
    (tmp_path / "data").mkdir()
    store, server = services["seaweedfs"], services["s3sftp"]
    arguments = [
        *(word.replace("=/data", f"={tmp_path}/data") for word in store["command"]),
        *("-ip=127.0.0.1", f"-s3.port={ports['s3']}", f"-master.port={ports['master']}"),
        *(
            f"-volume.port={ports['volume']}",
            f"-filer.port={ports['filer']}",
            f"-admin.port={ports['admin']}",
        ),
    ]
    flags = [
        str(tmp_path / "key.pub") if word.endswith("/authorized_keys") else word for word in server["command"]
    ]
    environment = _environment(server) | {
        "S3SFTP_S3__ENDPOINT_URL": f"http://127.0.0.1:{ports['s3']}",
        "S3SFTP_SERVER__STATE_DIR": str(tmp_path / "state"),
        "S3SFTP_LISTEN__PORT": str(ports["sftp"]),
        "S3SFTP_LISTEN__HOST": "127.0.0.1",
    }
    with contextlib.ExitStack() as stack:
        running = Process(
            [weed, *arguments], tmp_path / "weed.log", env=os.environ | _environment(store), cwd=tmp_path
        )
        stack.callback(running.kill)
        # it waits for a store that is not there yet, as compose does by its health check
        running.wait_ready(
            lambda: "S3 Endpoint" in running.output() or "ready" in running.output().lower(), 60
        )
        serving = Process(
            [sys.executable, "-m", "s3sftp", *flags], tmp_path / "log", env=clean_environment(**environment)
        )
        stack.callback(serving.kill)
        serving.wait_ready(lambda: '"event": "server.started"' in serving.output(), 90)
        yield ports["sftp"], tmp_path / "key"


async def test_its_commands_work_together(composed: tuple[int, Path]) -> None:
    port, key = composed
    async with asyncssh.connect(
        "127.0.0.1", port, username="alice", client_keys=[str(key)], known_hosts=None, config=None
    ) as connection:
        async with connection.start_sftp_client() as sftp:
            async with sftp.open("/hello", "wb") as file:
                await file.write(b"hello")
            assert "hello" in await sftp.listdir("/")

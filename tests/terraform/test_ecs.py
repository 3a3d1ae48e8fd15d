"""The task of the example `ecs-fargate`: its first container writes the secrets, its second serves a client.

Both are run here as processes, with the paths moved below a directory, and without the image.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from s3sftp.app.options import ServerOptions
from testbed.processes import Process, free_port
from testbed.s3_store import Store
from tests.support.commands import run
from tests.support.s3_client import S3
from tests.support.terraform import Terraform

pytestmark = pytest.mark.timeout(600)  # the first time the stand-in is installed


@pytest.fixture
def containers(terraform: Terraform) -> Mapping[str, Mapping[str, Any]]:
    """The containers of the task, by name."""
    tested = terraform.tested("examples/ecs-fargate")
    tested.result.ok()
    [task] = [each for each in tested.resources("the_task") if each["type"] == "aws_ecs_task_definition"]
    return {each["name"]: each for each in json.loads(task["values"]["container_definitions"])}


class Volumes:
    """The volumes of the task as directories, and what a task sees of them."""

    def __init__(self, directory: Path) -> None:
        self.secrets = directory / "secrets"
        self.tmp = directory / "tmp"
        self.secrets.mkdir()
        self.tmp.mkdir()

    def moved(self, text: str) -> str:
        return text.replace("/etc/s3sftp", str(self.secrets)).replace('"/tmp"', f'"{self.tmp}"')

    def prepare(self, container: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        """Run the first container."""
        assert [each["name"] for each in container["secrets"]] == list(secrets)
        python, *arguments = container["entryPoint"]
        assert python == "python3"
        script = [self.moved(each) for each in arguments]
        if os.getuid() != 0:  # who is not root cannot give files away
            script = [each.replace("10001, 10001", "-1, -1") for each in script]
        subprocess.run([sys.executable, *script], env={**os.environ, **secrets}, check=True)


def _user(directory: Path) -> tuple[Path, str]:
    """A key, and a file of users that has it."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(str(directory / "key"))
    line = key.export_public_key().decode().strip()
    return directory / "key", f"[users.alice]\nauthorized_keys = [{json.dumps(line)}]\n"


def _host_key() -> str:
    return asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()


def test_the_first_container_writes_the_secrets_for_the_server_alone(
    containers: Mapping[str, Mapping[str, Any]], tmp_path: Path
) -> None:
    volumes, secret = Volumes(tmp_path), _host_key()
    volumes.prepare(containers["prepare"], {"HOST_KEY": secret.rstrip(), "USERS": "[users]\n"})
    key = volumes.secrets / "host-keys/ssh_host_ed25519_key"
    assert key.read_text("ascii") == secret
    assert key.stat().st_mode & 0o777 == 0o400
    assert (volumes.secrets / "users/users.toml").exists()
    assert volumes.tmp.stat().st_mode & 0o7777 == 0o1777


def test_the_server_ends_before_it_is_killed(containers: Mapping[str, Mapping[str, Any]]) -> None:
    container = containers["s3sftp"]
    drain = next(
        each["value"] for each in container["environment"] if each["name"] == "S3SFTP_SERVER__DRAIN_TIMEOUT"
    )
    amount, unit = drain.split()
    assert unit == "s"
    close = ServerOptions.model_fields["sftp"].annotation.model_fields["close_timeout"].default  # type: ignore[union-attr]
    assert timedelta(seconds=int(amount) + 15) + close <= timedelta(seconds=container["stopTimeout"])


async def test_a_task_serves_a_client(
    containers: Mapping[str, Mapping[str, Any]], tmp_path: Path, store: Store, bucket: str, s3: S3
) -> None:
    volumes = Volumes(tmp_path)
    key, users = _user(tmp_path)
    volumes.prepare(containers["prepare"], {"HOST_KEY": _host_key(), "USERS": users})
    environment = {each["name"]: volumes.moved(each["value"]) for each in containers["s3sftp"]["environment"]}
    environment |= {
        "S3SFTP_S3__BUCKET": bucket,
        "S3SFTP_S3__ENDPOINT_URL": store.endpoint_url,
        "S3SFTP_S3__ADDRESSING": "path",
        "AWS_ACCESS_KEY_ID": store.access_key,
        "AWS_SECRET_ACCESS_KEY": store.secret_key,
        "S3SFTP_LISTEN__PORT": "0",
        "S3SFTP_LISTEN__PROXY_SOURCES": "127.0.0.1/32",
        "S3SFTP_ADMIN__PORT": str(free_port()),
        "S3SFTP_CONFIG": str(volumes.secrets / "s3sftp.toml"),  # as the image has it
        "S3SFTP_SERVER__STATE_DIR": str(volumes.tmp / "s3sftp"),
        "S3SFTP_SERVER__WORKERS": "1",
        "S3SFTP_LOG__FORMAT": "json",
    }
    command = [sys.executable, "-m", "s3sftp", "serve"]
    server = Process(command, tmp_path / "log", env={**os.environ, **environment})
    try:
        server.wait_ready(lambda: '"server.listening"' in server.output(), timeout=60)
        listening = next(line for line in server.output().splitlines() if '"server.listening"' in line)
        await _put_a_file(json.loads(listening)["port"], key)
        check = containers["s3sftp"]["healthCheck"]["command"]
        assert check[:2] == ["CMD", "s3sftp"]
        well = await run([sys.executable, "-m", "s3sftp", *check[2:]], env=environment)
        well.ok()
    finally:
        server.kill()
    assert await s3.body("alice/hello") == b"hello"


async def _put_a_file(port: int, key: Path) -> None:
    """As a client behind the load balancer."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"PROXY TCP4 203.0.113.7 203.0.113.10 50000 22\r\n")
        async with asyncssh.connect(
            sock=connection, username="alice", client_keys=[str(key)], known_hosts=None, config=None
        ) as client:
            async with client.start_sftp_client() as sftp, sftp.open("hello", "wb") as file:
                await file.write(b"hello")

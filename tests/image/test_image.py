"""The image as it is built, and what it does as a container."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib.metadata import requires
from pathlib import Path

import pytest

from testbed.processes import free_port
from testbed.s3_store import Store
from tests.image.containers import (
    BASE,
    CONFINED,
    ROOT,
    RUNTIME,
    Container,
    built_image,
    files_of,
    inspected,
    require_containers,
    run,
)
from tests.limits.test_idle_memory import shared_fairly, with_descendants
from tests.support.clients import Clients
from tests.support.commands import installed
from tests.support.s3_client import S3
from tests.support.server import Server

MIB = 1 << 20
# making the base and building take a minute or two, the first time
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def image() -> str:
    require_containers()
    return built_image()


@pytest.fixture(scope="module")
def root(image: str) -> Iterator[Path]:
    with files_of(image) as directory:
        yield directory


class Served(Server):
    """A server whose process is a container, for the clients of the tests."""

    def __init__(self, directory: Path, store: Store, bucket: str) -> None:
        options = {"listen": {"port": free_port()}, "admin": {"port": free_port()}, "log": {"level": "debug"}}
        super().__init__(directory, store, bucket, options)
        self.port = int(options["listen"]["port"])  # type: ignore[call-overload]
        self.admin_port = int(options["admin"]["port"])  # type: ignore[call-overload]
        public = self._host_key.export_public_key().decode().strip()
        self.known_hosts.write_text(f"[{self.host}]:{self.port} {public}\n")
        text = self.config_file.read_text().replace(str(directory), "/etc/s3sftp")
        self.config_file.write_text(text.replace('"/etc/s3sftp/state"', '"/var/lib/s3sftp"'))
        for file in directory.iterdir():  # as a Secret is mounted: readable for whoever the container runs as
            if file != self.key_file:
                file.chmod(0o644)


@asynccontextmanager
async def serving(
    image: str, directory: Path, store: Store, bucket: str, *flags: str
) -> AsyncIterator[Running]:
    server = Served(directory, store, bucket)
    ports = (
        "--env",
        f"S3SFTP_LISTEN__PORT={server.port}",
        "--env",
        f"S3SFTP_ADMIN__PORT={server.admin_port}",
    )
    workers = ("--env", "S3SFTP_SERVER__WORKERS=2", "--env", "S3SFTP_LISTEN__HOST=127.0.0.1")
    container = await asyncio.to_thread(
        lambda: Container(image, *ports, *workers, "-v", f"{directory}:/etc/s3sftp:ro", *flags)
    )
    try:
        async with asyncio.timeout(90):
            while '"event": "server.started"' not in (log := await asyncio.to_thread(container.log)):
                state = (await asyncio.to_thread(container.inspected))["State"]["Status"]
                assert state in ("created", "running"), log
                await asyncio.sleep(0.3)
        yield Running(container, server)
    finally:
        await asyncio.to_thread(container.remove)


class Running:
    def __init__(self, container: Container, server: Served) -> None:
        self.container = container
        self.server = server


ANY_USER = ["10001:10001", "54321:0"]


@pytest.mark.parametrize("user", ANY_USER)
async def test_openssh_puts_and_gets_through_it_and_podman_stop_drains_and_ends_with_0(
    user: str, image: str, seaweed: Store, bucket: str, s3: S3, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(0o777)  # as an emptyDir has it
    flags = ("--user", user, "-v", f"{state}:/var/lib/s3sftp")
    async with serving(image, tmp_path / "config", seaweed, bucket, *flags) as running:
        container = running.container
        pid = int(container.inspected()["State"]["Pid"])
        taken = sum(shared_fairly(each) for each in with_descendants(pid))
        print(f"idle with two workers: {taken / MIB:.1f} MiB of PSS")
        clients = Clients(running.server, tmp_path)
        content = os.urandom(3_000_000)
        (tmp_path / "up").write_bytes(content)
        (await clients.sftp(f"put {tmp_path}/up up", f"get up {tmp_path}/down")).ok()
        assert (tmp_path / "down").read_bytes() == content
        assert await s3.body("alice/up") == content
        for flag in ((), ("--live",)):
            asked = await asyncio.to_thread(container.execute, "s3sftp", "health", *flag)
            assert asked.returncode == 0, asked.stderr
        status = Path(f"/proc/{pid}/status").read_text()
        assert f"Uid:\t{user.partition(':')[0]}\t" in status
        assert "CapEff:\t0000000000000000" in status
        slow = asyncio.create_task(clients.sftp(f"put {tmp_path}/up slow", options=("-l", "6000")))
        async with asyncio.timeout(60):
            while "/slow" not in await asyncio.to_thread(container.log):
                await asyncio.sleep(0.2)
        ended = await asyncio.to_thread(container.stop)
        assert ended == 0, container.log()
        (await slow).ok()
        assert await s3.body("alice/slow") == content
        log = container.log()
        assert '"event": "server.stopping"' in log
        assert '"event": "server.stopped"' in log
        assert "Traceback" not in log


def test_it_says_what_is_missing_and_ends_where_nothing_is_configured(image: str) -> None:
    container = Container(image)
    try:
        assert run("podman", "wait", container.name, timeout=60).stdout.strip() == "2"
        assert "s3.bucket" in container.log() or "s3: " in container.log()
        assert "Traceback" not in container.log()
    finally:
        container.remove()


def test_its_layers_beyond_the_base_are_below_120_mb(image: str) -> None:
    sizes = {
        name: int(json.loads(run("podman", "image", "inspect", name).stdout)[0]["Size"])
        for name in (image, BASE)
    }
    added = sizes[image] - sizes[BASE]
    print(f"the image is {added / 1e6:.1f} MB beyond its base")
    assert 0 < added < 120e6


def test_it_has_labels_a_stop_signal_a_health_check_and_no_user_with_rights(image: str) -> None:
    config = inspected(image)["Docker"]["config"]
    for name in ("title", "description", "licenses", "version", "revision"):
        assert config["Labels"][f"org.opencontainers.image.{name}"]
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"] == ["CMD", "s3sftp", "health", "--live"]
    assert config["User"] == "10001:10001"
    assert (config["Entrypoint"], config["Cmd"]) == (["s3sftp"], ["serve"])
    assert set(config["ExposedPorts"]) == {"2022/tcp", "9090/tcp"}


def test_its_sbom_lists_exactly_what_is_installed(root: Path) -> None:
    sbom = json.loads((root / "usr/share/s3sftp/sbom.cdx.json").read_text())
    assert sbom["bomFormat"] == "CycloneDX"
    parts = [sbom["metadata"]["component"], *sbom["components"]]
    listed = {(part["name"], part["version"]) for part in parts}
    (packages,) = (root / "opt/s3sftp/lib").glob("python3*/site-packages")
    metadata = [file.read_text() for file in packages.glob("*.dist-info/METADATA")]
    assert listed == {(_field(text, "Name"), _field(text, "Version")) for text in metadata}
    assert "s3sftp" in {name for name, _ in listed}


def _field(text: str, name: str) -> str:
    return next(line.partition(": ")[2] for line in text.splitlines() if line.startswith(f"{name}: "))


def test_nothing_that_is_never_read_is_in_it(root: Path) -> None:
    (packages,) = (root / "opt/s3sftp/lib").glob("python3*/site-packages")
    services = {each.name for each in (packages / "botocore/data").iterdir() if each.is_dir()}
    assert services == {"s3", "sts", "sso", "sso-oidc"}
    assert not (packages / "pip").exists()
    assert not list(packages.rglob("*.pyi"))
    assert sorted(each.name for each in (root / "opt/s3sftp/bin").iterdir() if "python" not in each.name) == [
        "s3sftp"
    ]


CREDENTIALS = """
import asyncio
from aiobotocore.session import get_session
import msgpack
import opentelemetry.exporter.otlp.proto.http.trace_exporter, opentelemetry.sdk.trace.export

async def main():
    for service in ("s3", "sts", "sso", "sso-oidc"):
        async with get_session().create_client(
            service, region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b"
        ) as client:
            print(service, len(client.meta.service_model.operation_names))

asyncio.run(main())
"""


def test_every_way_to_credentials_still_finds_its_descriptions(image: str) -> None:
    """Web identity asks sts, single sign-on sso and sso-oidc."""
    done = run(
        *("podman", *RUNTIME, "run", "--rm", "--read-only", *CONFINED, "--entrypoint", "python3"),
        *(image, "-c", CREDENTIALS),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["s3", "sts", "sso", "sso-oidc"]


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    done = run(installed("hadolint"), "Dockerfile", check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_lock_names_no_index_and_has_every_dependency() -> None:
    for file in ("requirements.lock", "deploy/image/build.lock"):
        lines = (ROOT / file).read_text().splitlines()
        assert not [line for line in lines if "://" in line or line.startswith("-")]
        pinned = [line for line in lines if line and not line[0].isspace() and not line.startswith("#")]
        assert all("==" in line for line in pinned)
        hashes = "\n".join(lines).count("--hash=sha256:")
        assert hashes >= len(pinned)
        if file == "requirements.lock":
            names = {line.partition("==")[0] for line in pinned}
    wanted = {_name(text) for text in requires("s3sftp") or () if "extra" not in text}
    assert wanted <= names


def _name(requirement: str) -> str:
    for sign in "<>=!~ [;":
        requirement = requirement.partition(sign)[0]
    return requirement.strip().lower()

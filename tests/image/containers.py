"""Images and containers without a container engine's service: mmdebstrap makes a base, buildah builds on it,
podman runs it.

The base is Debian's own Python instead of the `python` image, which comes from a registry that a test run may
not reach: same system, same layout of what the Dockerfile uses.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import installed

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache/image"
BASE = "localhost/s3sftp-base"
IMAGE = "localhost/s3sftp"
PACKAGES = "ca-certificates,netbase,python-is-python3,python3,python3-pip,python3-venv,tzdata"
BUILT_FROM = ("Dockerfile", ".dockerignore", "LICENSE", "README.md", "pyproject.toml", "requirements.lock")
BUILT_FROM_BELOW = ("s3sftp", "deploy/image")
OF_THE_MACHINE = ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
"""How this machine reaches its package index, for the build alone."""


def run(*command: str, check: bool = True, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Run a command on the storage of the tests; what it says when it fails is the failure."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        env=os.environ | {"CONTAINERS_STORAGE_CONF": str(CACHE / "storage.conf")},
    )
    if check and done.returncode:
        raise CommandFailed(command, done)
    return done


class CommandFailed(Exception):
    def __init__(self, command: Sequence[str], done: subprocess.CompletedProcess[str]) -> None:
        super().__init__(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def require_containers() -> None:
    """Skip where this machine cannot build and run images; in CI, fail."""
    for command in ("mmdebstrap", "buildah", "podman", "runc"):
        installed(command)
    if os.geteuid() != 0:
        _without("only root can build on another base without a service")
    CACHE.mkdir(parents=True, exist_ok=True)
    for driver in ("overlay", "vfs"):
        _write_storage(driver)
        told = run("podman", *RUNTIME, "info", check=False)
        if told.returncode == 0:
            return
    _without(f"podman cannot keep images here: {told.stderr}")


def _without(why: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"NO CONTAINERS: {why}")
    pytest.skip(why)


def _write_storage(driver: str) -> None:
    lines = [
        "[storage]",
        f'driver = "{driver}"',
        f'graphroot = "{CACHE}/{driver}"',
        f'runroot = "{CACHE}/run"',
    ]
    (CACHE / "storage.conf").write_text("\n".join(lines) + "\n")


RUNTIME = ("--runtime", "/usr/sbin/runc", "--cgroup-manager", "cgroupfs")
CONFINED = (
    *(
        "--network",
        "host",
        "--cap-drop",
        "all",
        "--security-opt",
        "no-new-privileges",
    ),
    *("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"),
)
_BUILD = ("bud", "--isolation", "chroot", "--format", "docker", "--network", "host", "--quiet")


def built_image() -> str:
    """The image of this source, built unless it is there already."""
    wanted = _fingerprint()
    if _label(IMAGE, "s3sftp.test.sources") == wanted:
        return IMAGE
    _build_base()
    mounted = [part for file in OF_THE_MACHINE if Path(file).exists() for part in ("-v", f"{file}:{file}:ro")]
    run(
        *("buildah", *_BUILD, *mounted, "--build-arg", f"BASE_IMAGE={BASE}"),
        *("--label", f"s3sftp.test.sources={wanted}", "-t", IMAGE, "."),
    )
    return IMAGE


def _build_base() -> None:
    if run("buildah", "inspect", "--type", "image", BASE, check=False).returncode == 0:
        return
    context = CACHE / "base"
    context.mkdir(exist_ok=True)
    archive = context / "base.tar"
    if not archive.exists():
        made = archive.with_suffix(".part.tar")
        run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(made))
        made.rename(archive)
    (context / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
    run("buildah", *_BUILD, "-t", BASE, str(context))


def _fingerprint() -> str:
    digest = hashlib.sha256()
    files = [ROOT / name for name in BUILT_FROM]
    for name in BUILT_FROM_BELOW:
        files += [file for file in (ROOT / name).rglob("*") if file.is_file() and file.suffix != ".pyc"]
    for file in sorted(files):
        digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def inspected(image: str) -> dict[str, Any]:
    """What is known of an image."""
    found = run("buildah", "inspect", "--type", "image", image, check=False)
    return json.loads(found.stdout) if found.returncode == 0 else {}


def _label(image: str, name: str) -> str:
    labels = inspected(image).get("Docker", {}).get("config", {}).get("Labels") or {}
    return str(labels.get(name, ""))


@contextmanager
def files_of(image: str) -> Iterator[Path]:
    """The root of an image, to look at."""
    container = run("buildah", "from", "--pull-never", image).stdout.strip()
    try:
        yield Path(run("buildah", "mount", container).stdout.strip())
    finally:
        run("buildah", "rm", container)


class Container:
    """One that runs, read-only and without any capability. Removed at the end."""

    def __init__(self, image: str, *flags: str, command: Sequence[str] = ()) -> None:
        self.name = run(
            *("podman", *RUNTIME, "run", "--detach", "--read-only", "--read-only-tmpfs=false", *CONFINED),
            *("--log-driver", "k8s-file"),
            *(*flags, image, *command),
        ).stdout.strip()

    def log(self) -> str:
        told = run("podman", *RUNTIME, "logs", self.name)
        return told.stdout + told.stderr

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        return run("podman", *RUNTIME, "exec", self.name, *command, check=False)

    def inspected(self) -> dict[str, Any]:
        (found,) = json.loads(run("podman", *RUNTIME, "inspect", self.name).stdout)
        return dict(found)

    def stop(self, seconds: int = 30) -> int:
        """`podman stop`: the signal that the image names, and SIGKILL after so long; the exit status."""
        run("podman", *RUNTIME, "stop", "--time", str(seconds), self.name)
        return int(self.inspected()["State"]["ExitCode"])

    def remove(self) -> None:
        run("podman", *RUNTIME, "rm", "--force", "--time", "0", self.name, check=False)

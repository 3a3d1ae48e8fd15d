"""What is released: the same bytes for the same files, nothing that does not belong there; and it runs."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import signal
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

from s3sftp import __version__
from testbed.processes import Process
from tests.cli.command_process import batch, clean_environment, sftp_command, write_key_pair
from tests.support.commands import installed
from tests.support.source_copy import ROOT, checkout

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EPOCH = "1700000000"

pytestmark = pytest.mark.timeout(600)


def run(*command: str, **more: object) -> str:
    """Run a program to its end; what it prints."""
    done = subprocess.run(
        command,
        env=clean_environment(SOURCE_DATE_EPOCH=EPOCH),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        **more,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def littered(target: Path) -> Path:
    """A checkout in which somebody has worked."""
    checkout(target)
    for junk in (".cache/tool", ".venv/bin/python", "demo/demo_key", "s3sftp/__pycache__/x.pyc"):
        (target / junk).parent.mkdir(parents=True, exist_ok=True)
        (target / junk).write_text("secret")
    return target


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheel and sdist, built as `make dist` builds them."""
    directory = tmp_path_factory.mktemp("first")
    run(sys.executable, "-m", "build", "--outdir", str(directory / "dist"), str(littered(directory / "tree")))
    return directory / "dist"


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (found,) = dist.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def sdist(dist: Path) -> Path:
    (found,) = dist.glob("*.tar.gz")
    return found


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """The programs of an environment that has the wheel and what it needs, and nothing else."""
    directory = tmp_path_factory.mktemp("empty") / "venv"
    run(sys.executable, "-m", "venv", str(directory))
    run(str(directory / "bin/pip"), "install", "--quiet", str(wheel))
    return directory / "bin"


def test_two_builds_of_the_same_files_are_the_same_bytes(dist: Path, tmp_path: Path) -> None:
    tree = littered(tmp_path / "elsewhere/tree")
    for file in tree.rglob("*"):
        os.utime(file, (1, 1))
        if file.is_file():
            file.chmod(0o600)  # as under another umask
    run(sys.executable, "-m", "build", "--outdir", str(tmp_path / "dist"), str(tree))
    assert digests(tmp_path / "dist") == digests(dist)


def digests(directory: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in directory.iterdir()}


def test_the_wheel_has_the_package_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    code = {name for name in names if name.startswith("s3sftp/")}
    page = {name for name in code if name.startswith("s3sftp/admin/console/") and not name.endswith(".py")}
    assert {Path(name).suffix for name in page} == {".html", ".css", ".js", ".svg"}
    assert {name for name in code - page if not name.endswith(".py")} == {"s3sftp/py.typed"}
    assert code == {
        str(file.relative_to(ROOT))
        for file in (ROOT / "s3sftp").rglob("*")
        if file.suffix in (".py", ".html", ".css", ".js", ".svg") or file.name == "py.typed"
    }
    metadata = f"s3sftp-{__version__}.dist-info"
    assert names - code == {
        f"{metadata}/{name}"
        for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    }


def test_the_sdist_has_code_and_texts_and_no_junk(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    names = {member.name.partition("/")[2] for member in members if member.isfile()}
    assert {name.partition("/")[0] for name in names} == {
        *("s3sftp", "docs", "examples", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md"),
        *("pyproject.toml", "PKG-INFO", ".gitignore"),
    }
    assert {name for name in names if "__pycache__" in name or name.endswith(".pyc")} == set()
    assert {(member.uid, member.gid, member.uname, member.gname) for member in members} == {(0, 0, "", "")}


def test_the_metadata_is_whole_and_names_no_private_host(dist: Path, wheel: Path) -> None:
    run(sys.executable, "-m", "twine", "check", "--strict", *map(str, dist.iterdir()))
    text = zipfile.ZipFile(wheel).read(f"s3sftp-{__version__}.dist-info/METADATA").decode()
    metadata = message_from_string(text)
    assert metadata["Version"] == __version__ == PROJECT["version"]
    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(metadata.get_all("Provides-Extra") or []) == set(PROJECT["optional-dependencies"])
    urls = " ".join(metadata.get_all("Project-URL") or [])
    hosts = set(re.findall(r"https?://([\w.-]+)", urls + metadata.get_payload()))  # type: ignore[operator]
    assert hosts <= {"collector"}


def test_the_wheel_runs_in_an_empty_environment(empty: Path, tmp_path: Path) -> None:
    said = run(str(empty / "s3sftp"), "--version", cwd=tmp_path)
    assert said.strip() == f"s3sftp, version {__version__}"
    run(str(empty / "pip"), "check")
    write_key_pair(tmp_path / "key")
    server = Process(
        [
            *(str(empty / "s3sftp"), "serve", "--backend", "memory", "--host", "127.0.0.1", "--port", "0"),
            *("--user", "alice", "--authorized-keys", f"{tmp_path / 'key'}.pub"),
            *("--state-dir", str(tmp_path / "state"), "--log-format", "logfmt"),
        ],
        tmp_path / "log",
        env=clean_environment(),
        cwd=tmp_path,
    )
    try:
        server.wait_ready(lambda: "event=server.started" in server.output(), 60)
        (port,) = re.findall(r"event=server.listening .*\bport=(\d+)", server.output())
        (tmp_path / "file").write_text("content")
        command = [installed("sftp"), *sftp_command(int(port), tmp_path / "key")[1:]]
        done = batch(command, f"put {tmp_path}/file x\nget x {tmp_path}/back\n")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "back").read_text() == "content"
        server.send(signal.SIGTERM)
        assert server.wait(60) == 0
    finally:
        server.kill()


def test_the_sdist_installs_to_the_same_files(sdist: Path, wheel: Path, empty: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    run(str(empty / "pip"), "install", "--quiet", "--no-deps", "--target", str(target), str(sdist))
    for name in zipfile.ZipFile(wheel).namelist():
        if name.startswith("s3sftp/"):
            assert (target / name).read_bytes() == zipfile.ZipFile(wheel).read(name), name


@pytest.mark.long
def test_pipx_runs_the_demo(wheel: Path, tmp_path: Path) -> None:
    pipx = installed("pipx")
    environ = clean_environment(PIPX_HOME=str(tmp_path / "pipx"), PIPX_DEFAULT_PYTHON=sys.executable)
    command = [pipx, "run", "--spec", f"{wheel}[demo]", "s3sftp", "demo", "--port", "0"]
    demo = Process(command, tmp_path / "log", env=environ, cwd=tmp_path)
    try:
        demo.wait_ready(lambda: "Other clients" in demo.output(), 400)
        printed = re.search(r"^ +sftp (.*)$", demo.output(), re.M)
        assert printed
        words = shlex.split(printed[1])
        sftp = [installed("sftp"), "-F", "none", "-o", "BatchMode=yes", "-b", "-", *words]
        done = batch(sftp, f"put {wheel} wheel\nls\n")
        assert done.returncode == 0, done.stderr
        assert "wheel" in done.stdout
        demo.send(signal.SIGINT)
        assert demo.wait(90) == 0, demo.output()
    finally:
        demo.kill()

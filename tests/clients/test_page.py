"""docs/clients.md is right of the clients that have tests of their own, and leaves nobody out."""

from __future__ import annotations

import asyncio
import json
import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.clients import page
from tests.support.client_programs import ALL, PROGRAMS
from tests.support.client_workspace import ClientWorkspace
from tests.support.commands import installed

HERE = Path(__file__).parent
FAMILIES = {
    "jsch-old": "JSch, the old one",
    "jsch": "JSch, today's fork",
    "sshj": "sshj",
    "mina": "Apache MINA SSHD, its NIO file system",
    "spring": "Spring Integration",
    "vfs": "Apache Commons VFS",
    "camel": "Apache Camel",
    "net-sftp": "Ruby's net-sftp",
    "net-sftp-foreign": "Net::SFTP::Foreign",
    "phpseclib-2": "phpseclib 2",
    "phpseclib-3": "phpseclib 3",
    "libssh": "libssh",
    "ssh2-sftp-client": "ssh2-sftp-client",
    "pkg-sftp": "Go's pkg/sftp",
    "russh-sftp": "russh-sftp",
}
"""How the page calls the programs."""


def test_every_client_that_is_tried_is_on_the_page_and_no_other() -> None:
    by_programs = {row[0] for row in page.tried() if row[2] == "`tests/clients/test_programs.py`"}
    assert by_programs == {FAMILIES[program.name] for program in ALL}
    named = {name for row in page.tried() for name in re.findall(r"`tests/clients/(test_\w+\.py)`", row[2])}
    there = {file.name: file.read_text("utf-8") for file in HERE.glob("test_*.py") if file != Path(__file__)}
    assert named - set(there) == set()
    assert {name for name, text in there.items() if "partner_desk" in text} - named == set()


def test_the_versions_are_those_that_are_asked_for() -> None:
    versions = {row[0]: row[1] for row in page.tried()}
    for module, coordinate in {
        "jsch-old": "com.jcraft:jsch",
        "jsch": "com.github.mwiede:jsch",
        "sshj": "com.hierynomus:sshj",
        "mina": "org.apache.sshd:sshd-sftp",
        "spring": "org.springframework.integration:spring-integration-sftp",
        "vfs": "org.apache.commons:commons-vfs2",
        "camel": "org.apache.camel:camel-ftp",
    }.items():
        assert versions[FAMILIES[module]] == _of_pom(module, coordinate)
    node = json.loads((PROGRAMS / "node/package.json").read_text("utf-8"))["dependencies"]
    assert versions["ssh2-sftp-client"] == node["ssh2-sftp-client"]
    rust = tomllib.loads((PROGRAMS / "rust/Cargo.toml").read_text("utf-8"))["dependencies"]
    exact = [crate.removeprefix("=") for crate in (rust["russh-sftp"], rust["russh"]["version"])]
    assert versions["russh-sftp"] == f"{exact[0]} with russh {exact[1]}"
    go = (PROGRAMS / "go/go.mod").read_text("utf-8")
    assert f"github.com/pkg/sftp v{versions[FAMILIES['pkg-sftp']]}\n" in go


def _of_pom(module: str, coordinate: str) -> str | None:
    pom = ElementTree.fromstring((PROGRAMS / "java" / module / "pom.xml").read_text("utf-8"))
    spaces = {"": "http://maven.apache.org/POM/4.0.0"}
    for dependency in pom.iterfind("dependencies/dependency", spaces):
        name = [dependency.findtext(part, namespaces=spaces) for part in ("groupId", "artifactId")]
        if ":".join(map(str, name)) == coordinate:
            return dependency.findtext("version", namespaces=spaces)
    raise AssertionError(f"{coordinate} is not in the pom of {module}")


# The desk's server compares each login with the page when the test has ended.


async def test_the_page_is_right_of_openssh(partner_desk: ClientWorkspace) -> None:
    (await partner_desk.clients.sftp(f"ls {partner_desk.remote}")).ok()


async def test_the_page_is_right_of_psftp(partner_desk: ClientWorkspace) -> None:
    (await partner_desk.clients.psftp(f"ls {partner_desk.remote}")).ok()


@pytest.mark.parametrize("path", ["", "/usr/bin/rclone"])
async def test_the_page_is_right_of_rclone(partner_desk: ClientWorkspace, path: str) -> None:
    program = installed("rclone", path=path or None)
    (await partner_desk.clients.rclone("lsf", f"alice:{partner_desk.remote}", program=program)).ok()


async def test_the_page_is_right_of_paramiko(partner_desk: ClientWorkspace) -> None:
    def work() -> None:
        with partner_desk.clients.paramiko() as sftp:
            sftp.listdir(partner_desk.remote)

    await asyncio.to_thread(work)

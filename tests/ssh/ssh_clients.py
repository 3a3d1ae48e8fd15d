"""OpenSSH and dbclient as processes that log in to a gatehouse."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.ssh.listener_harness import PASSWORD
from tests.support.commands import Result, installed, run


def askpass(directory: Path, answer: str = PASSWORD) -> dict[str, str]:
    """The environment in which OpenSSH asks a program, which gives this answer and notes the question."""
    script = directory / "askpass"
    script.write_text(f"#!/bin/sh\necho \"$1\" >> '{directory}/questions'\necho '{answer}'\n")
    script.chmod(0o700)
    return {"SSH_ASKPASS": str(script), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}


def questions(directory: Path) -> list[str]:
    """What OpenSSH has asked so far."""
    file = directory / "questions"
    return file.read_text().splitlines() if file.exists() else []


async def openssh(
    port: int, *options: str, env: Mapping[str, str] | None = None, known_hosts: Path | None = None
) -> Result:
    """OpenSSH's sftp with `-o` options: it logs in as alice and leaves."""
    defaults = (
        "IdentityAgent=none",
        "IdentitiesOnly=yes",
        f"UserKnownHostsFile={known_hosts or '/dev/null'}",
        "GlobalKnownHostsFile=/dev/null",
        f"StrictHostKeyChecking={'accept-new' if known_hosts else 'no'}",
    )
    words = [word for option in (*options, *defaults) for word in ("-o", option)]
    return await run([installed("sftp"), "-F", "none", "-P", str(port), *words, "alice@127.0.0.1"], env)


async def dbclient(port: int, home: Path, *words: str, password: str = PASSWORD) -> Result:
    """Dropbear's client: it logs in as alice by password, and asks for the subsystem; a file answers."""
    env = {"HOME": str(home), "DROPBEAR_PASSWORD": password}
    command = [installed("dbclient"), "-y", "-y", "-p", str(port), *words, "-s", "alice@127.0.0.1", "sftp"]
    return await run(command, env)

"""A partner with a sheet: its blocks, and a home directory in which its lines run as they are written."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.support.commands import installed

_BLOCK = re.compile(r"^```(\w+)\n(.*?)\n```$", re.M | re.S)


class PartnerSheet:
    """The Markdown that `s3sftp partner-sheet` writes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._blocks = _BLOCK.findall(text)

    def block(self, language: str, beginning: str = "") -> str:
        """The one block in that language which begins so."""
        (found,) = [text for kind, text in self._blocks if kind == language and text.startswith(beginning)]
        return str(found)


class Home:
    """A home directory that `~` means, also to OpenSSH, which asks the system and not the environment."""

    def __init__(self, directory: Path, key_file: Path | None = None) -> None:
        self.directory = directory
        self.ssh = directory / ".ssh"
        self.ssh.mkdir(parents=True, mode=0o700)
        self._bin = directory / "bin"
        self._bin.mkdir()
        for name in ("ssh", "sftp", "scp"):
            self._at_home(name)
        if key_file is not None:
            (self.ssh / "id_ed25519").write_bytes(key_file.read_bytes())
            (self.ssh / "id_ed25519").chmod(0o600)
        self.configure("")

    def _at_home(self, name: str) -> None:
        wrapper = self._bin / name
        wrapper.write_text(f'#!/bin/sh\nexec {installed(name)} -F {self.ssh}/config "$@"\n')
        wrapper.chmod(0o700)

    def configure(self, block: str) -> None:
        """Write ~/.ssh/config: the block, and what makes `~` this directory."""
        ours = [f"    UserKnownHostsFile {self.ssh}/known_hosts", "    GlobalKnownHostsFile /dev/null"]
        ours += ["    IdentityAgent none", "    BatchMode yes", "    StrictHostKeyChecking yes"]
        text = block.replace("~", str(self.directory))
        (self.ssh / "config").write_text("\n".join([text, "Host *", *ours, ""]))

    def run(self, line: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a line in a shell, as somebody would who pastes it."""
        return subprocess.run(
            ["/bin/sh", "-c", line],
            input=stdin,
            cwd=self.directory,
            env={"HOME": str(self.directory), "PATH": f"{self._bin}:/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

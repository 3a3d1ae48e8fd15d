"""The keys of a run: one for every server, one for every client."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from pathlib import Path

import asyncssh


@dataclass(frozen=True)
class Identity:
    """Files of keys. The user has the name of whoever runs the benchmark: sshd knows no other."""

    user: str
    host_key: Path
    user_key: Path
    authorized_keys: Path

    @classmethod
    def make(cls, directory: Path) -> Identity:
        directory.mkdir(mode=0o700)
        identity = cls(
            getpass.getuser(), directory / "host", directory / "user", directory / "authorized_keys"
        )
        for file in (identity.host_key, identity.user_key):
            key = asyncssh.generate_private_key("ssh-ed25519")
            file.touch(mode=0o600)
            key.write_private_key(str(file))
            key.write_public_key(f"{file}.pub")
        identity.authorized_keys.write_bytes(Path(f"{identity.user_key}.pub").read_bytes())
        return identity

"""The server that partners meet: the host keys of a first start, and a user with a key of each kind."""

from __future__ import annotations

from pathlib import Path

import asyncssh

from testbed.s3_store import Store
from tests.support.server import Groups, Server

_KINDS = {"ed25519": "ssh-ed25519", "ecdsa": "ecdsa-sha2-nistp256", "rsa": "ssh-rsa"}


class PartnerServer(Server):
    """`keys` are the user's, by kind: PEM, since old libraries know nothing else, but for Ed25519."""

    def __init__(self, directory: Path, store: Store, bucket: str, options: Groups | None = None) -> None:
        self.keys = {kind: directory / f"alice_{kind}.key" for kind in _KINDS}
        super().__init__(directory, store, bucket, options)

    def _write_files(self, options: Groups) -> None:
        ours: Groups = {
            "ssh": {"host_keys": []},
            "users.alice": {"authorized_keys": [self._make_key(kind) for kind in _KINDS]},
        }
        groups = {name: {**ours.get(name, {}), **options.get(name, {})} for name in {*ours, *options}}
        super()._write_files(groups)
        self.key_file = self.keys["ed25519"]

    def _make_key(self, kind: str) -> str:
        """Make a key of the user; the public half."""
        size = {"key_size": 3072} if kind == "rsa" else {}
        key = asyncssh.generate_private_key(_KINDS[kind], **size)
        public = key.export_public_key().decode().strip()
        file = self.keys[kind]
        key.write_private_key(str(file), "openssh" if kind == "ed25519" else "pkcs1-pem")
        file.chmod(0o600)
        Path(f"{file}.pub").write_text(f"{public}\n")  # libssh2 wants both halves
        return public

    def _await_port(self) -> None:
        super()._await_port()
        made = [asyncssh.read_private_key(self.directory / f"state/ssh_host_{kind}_key") for kind in _KINDS]
        self._host_key = made[0]
        with self.known_hosts.open("w") as known:
            for key in made:
                # without the comment, which dbclient takes for a part of the key
                public = b" ".join(key.export_public_key().split()[:2]).decode()
                known.write(f"[{self.host}]:{self.port} {public}\n")

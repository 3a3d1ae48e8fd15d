"""The server that partners meet: three kinds of host keys, and a user with a key of each kind."""

from __future__ import annotations

from pathlib import Path

import asyncssh

from tests.support.server import Groups, Server
from tests.support.store import Store

_KINDS = {"ed25519": "ssh-ed25519", "ecdsa": "ecdsa-sha2-nistp256", "rsa": "ssh-rsa"}


def _generate(kind: str) -> asyncssh.SSHKey:
    size = {"key_size": 3072} if kind == "rsa" else {}
    return asyncssh.generate_private_key(_KINDS[kind], **size)


class PartnerServer(Server):
    """`keys` are the user's, by kind: PEM, since old libraries know nothing else, but for Ed25519."""

    def __init__(self, directory: Path, store: Store, bucket: str, options: Groups | None = None) -> None:
        self._host_keys = {kind: _generate(kind) for kind in _KINDS}
        self.keys = {kind: directory / f"alice_{kind}.key" for kind in _KINDS}
        super().__init__(directory, store, bucket, options)

    def _write_files(self, options: Groups) -> None:
        self._host_key = self._host_keys["ed25519"]
        host_files, public = [], []
        for kind, host_key in self._host_keys.items():
            host_files.append(self.directory / f"host_{kind}")
            host_key.write_private_key(str(host_files[-1]))
            key = _generate(kind)
            key.write_private_key(str(self.keys[kind]), "openssh" if kind == "ed25519" else "pkcs1-pem")
            public.append(key.export_public_key().decode().strip())
            Path(f"{self.keys[kind]}.pub").write_text(f"{public[-1]}\n")  # libssh2 wants both halves
        for file in (*host_files, *self.keys.values()):
            file.chmod(0o600)
        ours: Groups = {
            "ssh": {"host_keys": [str(file) for file in host_files]},
            "users.alice": {"authorized_keys": public},
        }
        groups = {name: {**ours.get(name, {}), **options.get(name, {})} for name in {*ours, *options}}
        super()._write_files(groups)
        self.key_file = self.keys["ed25519"]

    def _await_port(self) -> None:
        super()._await_port()
        with self.known_hosts.open("w") as known:
            for key in self._host_keys.values():
                known.write(f"[{self.host}]:{self.port} {key.export_public_key().decode().strip()}\n")

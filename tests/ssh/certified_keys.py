"""Key pairs of clients that do with certificates what no client of others does."""

from __future__ import annotations

import base64
from hashlib import sha256
from pathlib import Path

import asyncssh
from asyncssh.packet import Byte, String, UInt32
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.ssh_ca import certify, data_of


class OfferedBytes(asyncssh.SSHKeyPair):
    """A key pair that offers any bytes as its public key, and signs with any key."""

    def __init__(self, data: bytes, key: asyncssh.SSHKey) -> None:
        algorithm = key.get_algorithm().encode()
        super().__init__(algorithm, algorithm, (algorithm,), (), data, None)
        self._signing = key

    def set_sig_algorithm(self, sig_algorithm: bytes) -> None:
        self.algorithm = sig_algorithm + b"-cert-v01@openssh.com"

    def sign(self, data: bytes) -> bytes:
        return self._signing.sign(data, self._signing.get_algorithm().encode())


class SecurityKey(asyncssh.SSHKeyPair):
    """A security key in software, with a certificate: its signatures say what a test wants (PROTOCOL.u2f)."""

    KIND = b"sk-ssh-ed25519@openssh.com"

    def __init__(self, secret: Ed25519PrivateKey, certificate: bytes, flags: int) -> None:
        super().__init__(self.KIND, self.KIND, (self.KIND,), (), certificate, None)
        self._secret = secret
        self._flags = Byte(flags)

    def set_sig_algorithm(self, sig_algorithm: bytes) -> None:
        self.algorithm = b"sk-ssh-ed25519-cert-v01@openssh.com"

    def sign(self, data: bytes) -> bytes:
        said = self._flags + UInt32(9)
        signature = self._secret.sign(sha256(b"ssh:").digest() + said + sha256(data).digest())
        return String(self.KIND) + String(signature) + said

    @classmethod
    def certified(cls, file: Path, ca: Path, flags: int, *options: str) -> SecurityKey:
        """A new one, with a certificate for alice; its public half goes into a file."""
        secret = Ed25519PrivateKey.generate()
        public = String(cls.KIND) + String(secret.public_key().public_bytes_raw()) + String("ssh:")
        Path(f"{file}.pub").write_text(f"{cls.KIND.decode()} {base64.b64encode(public).decode()} sk\n")
        return cls(secret, data_of(certify(ca, file, *options)), flags)

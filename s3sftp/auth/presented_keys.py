"""Reads the file of a key that a client would present: a public key, a private key or a certificate.

Of a private key only the public half is read, which OpenSSH's format has in clear text even if the key itself
is encrypted. So nobody is asked for a passphrase, and no private key is decrypted.
"""

from __future__ import annotations

import binascii
from pathlib import Path

import asyncssh
from asyncssh.packet import PacketDecodeError, SSHPacket

from s3sftp.auth.authorized_keys import keys_in
from s3sftp.auth.certificates import Certificate, is_certificate, parse_certificate
from s3sftp.auth.key_entries import MAX_BYTES
from s3sftp.errors import LoginRefused

_BEGIN, _END = b"-----BEGIN OPENSSH PRIVATE KEY-----", b"-----END OPENSSH PRIVATE KEY-----"
_MAGIC = b"openssh-key-v1\0"
_ASK = "give the file of the public key, such as id_ed25519.pub"


class UnusableKeyFile(Exception):
    """A file that is neither a key nor a certificate. The text says what it is and what would be right, and
    nothing of its content."""


def read_presented(file: Path) -> asyncssh.SSHKey | Certificate:
    """The key or certificate in a file.

    Raises UnusableKeyFile: if there is none.
    Raises OSError: if the file cannot be read.
    """
    with file.open("rb") as stream:
        return key_presented(stream.read(MAX_BYTES + 1), str(file))


def key_presented(data: bytes, name: str) -> asyncssh.SSHKey | Certificate:
    """The same in the content of a file, which errors call `name`.

    Raises UnusableKeyFile: if there is none.
    """
    if (blob := _certificate_in(data)) is not None:
        try:
            return parse_certificate(blob)
        except LoginRefused as refused:
            raise UnusableKeyFile(str(refused)) from None
    if _BEGIN in data:
        return _public_half(data)
    if b"PRIVATE KEY-----" in data:
        return _of_pem(data)
    return _public_key(data, name)


def _certificate_in(data: bytes) -> bytes | None:
    """The certificate in a line such as `ssh-ed25519-cert-v01@openssh.com AAAA… comment`; None if there is no
    such line."""
    for line in data.splitlines():
        words = line.split()
        if len(words) > 1 and words[0].endswith(b"-cert-v01@openssh.com"):
            try:
                blob = binascii.a2b_base64(words[1])
            except binascii.Error:
                raise UnusableKeyFile("the certificate is damaged: its base64 cannot be decoded") from None
            return blob if is_certificate(blob) else None
    return None


def _public_half(data: bytes) -> asyncssh.SSHKey:
    """The public half of a private key in OpenSSH's format (PROTOCOL.key)."""
    text = data.partition(_BEGIN)[2].partition(_END)[0]
    try:
        whole = binascii.a2b_base64(b"".join(text.split()))
        if not whole.startswith(_MAGIC):
            raise PacketDecodeError("another format")
        packet = SSHPacket(whole[len(_MAGIC) :])
        for _ in ("cipher", "kdf", "kdf options"):
            packet.get_string()
        if packet.get_uint32() < 1:
            raise PacketDecodeError("no key")
        return _decoded(packet.get_string())
    except (binascii.Error, PacketDecodeError):
        raise UnusableKeyFile(f"a private key that is damaged; {_ASK}") from None


def _of_pem(data: bytes) -> asyncssh.SSHKey:
    """The public half of a private key in a PEM format, which is encrypted with the rest of it."""
    try:
        return asyncssh.import_private_key(data).convert_to_public()
    except asyncssh.KeyEncryptionError:
        raise UnusableKeyFile(f"a private key that is encrypted as a whole; {_ASK}") from None
    except (asyncssh.KeyImportError, ValueError):
        raise UnusableKeyFile(f"a private key that cannot be read; {_ASK}") from None


def _public_key(data: bytes, name: str) -> asyncssh.SSHKey:
    found = keys_in(data, name)
    if len(found.keys) == 1:
        return _decoded(found.keys[0].public_data)
    if found.keys:
        raise UnusableKeyFile(
            f"{len(found.keys)} keys; a login presents one of them: give a file with it alone"
        )
    if found.problems:
        raise UnusableKeyFile(f"no key that can be used: {found.problems[0]}")
    raise UnusableKeyFile(f"no key; {_ASK}")


def _decoded(public_data: bytes) -> asyncssh.SSHKey:
    try:
        return asyncssh.public_key.decode_ssh_public_key(public_data)
    except asyncssh.KeyImportError:
        raise UnusableKeyFile(f"a key of a kind that is not known; {_ASK}") from None

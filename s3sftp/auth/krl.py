"""Parses OpenSSH's Key Revocation Lists, as `ssh-keygen -k` makes them (PROTOCOL.krl). Pure.

    magic, version, date, comment │ section │ section │ …
                                    a CA's certificates: serial numbers, ranges, bitmaps, key IDs
                                    keys, or their SHA-1 or SHA-256 digests

A list is used whole or not at all: one unknown section that must be understood makes it unusable, because
nobody knows whom it is meant to keep out.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from asyncssh.packet import PacketDecodeError, SSHPacket

from s3sftp.auth.revocations import BadRevocations, Revocations, RevocationsBuilder, SerialBitmap

MAGIC = b"SSHKRL\n\0"
_VERSION = 1


class _Section(IntEnum):
    CERTIFICATES = 1
    KEYS = 2
    SHA1 = 3
    SIGNATURE = 4
    SHA256 = 5
    EXTENSION = 255


class _OfCertificates(IntEnum):
    SERIAL_LIST = 0x20
    SERIAL_RANGE = 0x21
    SERIAL_BITMAP = 0x22
    KEY_IDS = 0x23
    EXTENSION = 0x39


def parse_krl(data: bytes) -> Revocations:
    """What a Key Revocation List revokes.

    Raises BadRevocations: if it is malformed, or has something that would have to be understood.
    """
    found = RevocationsBuilder()
    try:
        packet = SSHPacket(data)
        if packet.get_bytes(len(MAGIC)) != MAGIC:
            raise BadRevocations("not a Key Revocation List")
        if (version := packet.get_uint32()) != _VERSION:
            raise BadRevocations(f"a Key Revocation List of format {version}; {_VERSION} is supported")
        packet.get_bytes(8 + 8 + 8)  # version of the content, date, flags
        packet.get_string()  # reserved
        packet.get_string()  # comment
        while packet:
            _section(packet, found)
    except PacketDecodeError:
        raise BadRevocations("a Key Revocation List that is cut off or damaged") from None
    return found.build()


def _section(packet: SSHPacket, found: RevocationsBuilder) -> None:
    kind, content = packet.get_byte(), SSHPacket(packet.get_string())
    match kind:
        case _Section.CERTIFICATES:
            authority = content.get_string()
            content.get_string()  # reserved
            while content:
                _certificates(content.get_byte(), SSHPacket(content.get_string()), authority, found)
        case _Section.KEYS:
            for key in _strings(content):
                if not key:
                    raise BadRevocations("an empty key")
                found.key(key)
        case _Section.SHA1 | _Section.SHA256:
            for digest in _strings(content):
                if len(digest) != (20 if kind == _Section.SHA1 else 32):
                    raise BadRevocations(f"a fingerprint of {len(digest)} bytes")
                found.digest(digest)
        case _Section.SIGNATURE:
            raise BadRevocations(
                "a signed Key Revocation List: signatures are not supported, here as in OpenSSH"
            )
        case _Section.EXTENSION:
            _refuse_critical(content)
        case _:
            raise BadRevocations(f"a section of the unknown type {kind}")


def _certificates(kind: int, content: SSHPacket, authority: bytes, found: RevocationsBuilder) -> None:
    match kind:
        case _OfCertificates.SERIAL_LIST:
            while content:
                serial = content.get_uint64()
                found.serials(authority, serial, serial)
        case _OfCertificates.SERIAL_RANGE:
            found.serials(authority, content.get_uint64(), content.get_uint64())
        case _OfCertificates.SERIAL_BITMAP:
            first, bits = content.get_uint64(), content.get_string()
            if bits and bits[0] & 0x80:
                raise BadRevocations("a bitmap of serial numbers that is negative")
            found.bitmap(authority, SerialBitmap(first, bits))
        case _OfCertificates.KEY_IDS:
            for key_id in _strings(content):
                found.key_id(authority, _text(key_id))
        case _OfCertificates.EXTENSION:
            _refuse_critical(content)
        case _:
            raise BadRevocations(f"a certificate section of the unknown type {kind:#x}")
    content.check_end()


def _refuse_critical(content: SSHPacket) -> None:
    name, is_critical = content.get_string(), content.get_boolean()
    content.get_string()
    content.check_end()
    if is_critical:
        raise BadRevocations(
            f"the critical extension {name.decode('ascii', 'backslashreplace')!r} is unknown here"
        )


def _strings(content: SSHPacket) -> Iterator[bytes]:
    while content:
        yield content.get_string()


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRevocations("a key ID that is not UTF-8") from None

"""Parses the PROXY protocol header, versions 1 and 2, by which a load balancer reports the client. Pure.

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt specifies it. The parser accepts bytes with less
than a whole header, or more: what follows the header belongs to the client.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import cache

MAX_BYTES = 4096
"""The longest header that is accepted. Version 1 ends after 107 bytes; version 2 could announce 64 KiB, of
which a TCP proxy needs a few hundred."""
_V1 = b"PROXY "
_V1_MAX_BYTES = 107
_V1_NUMBER = re.compile(rb"0|[1-9][0-9]{0,4}")
_V2 = b"\r\n\r\n\0\r\nQUIT\n"
_V2_FIXED_BYTES = 16
_LOCAL, _PROXY = 0, 1
_ADDRESS_BYTES = {0x11: 4, 0x21: 16}
"""Address lengths of TCP over IPv4 and IPv6. For other valid families, such as a Unix socket, the
connection's own addresses count."""
_TLV_CRC32C = 3


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """A complete header."""

    version: int
    length: int
    """Its length in bytes."""
    client: tuple[str, int] | None
    """Address and port of the client. None if there is none to report: the proxy's own connection (LOCAL), or
    one of an unknown kind (UNKNOWN, UNSPEC, a Unix socket)."""


@dataclass(frozen=True, slots=True)
class MalformedHeader:
    """Bytes that begin like a header and are invalid."""

    reason: str


@dataclass(frozen=True, slots=True)
class NoHeader:
    """Bytes that do not begin like a header."""


Parsed = ProxyHeader | MalformedHeader | NoHeader | None
"""None: more bytes are needed to decide."""


def parse(data: bytes) -> Parsed:
    """The header that `data`, the first bytes of a connection, begins with."""
    if data.startswith(_V1):
        return _parse_v1(data)
    if data.startswith(_V2):
        return _parse_v2(data)
    if _V1.startswith(data) or _V2.startswith(data):
        return None
    return NoHeader()


def begins_one(data: bytes) -> bool:
    """Whether `data` certainly begins like a header."""
    return data.startswith((_V1, _V2))


# -- version 1: one line of text


def _parse_v1(data: bytes) -> Parsed:
    end = data.find(b"\n", 0, _V1_MAX_BYTES)
    if end < 0:
        return MalformedHeader("the line is longer than 107 bytes") if len(data) >= _V1_MAX_BYTES else None
    if data[end - 1 : end] != b"\r":
        return MalformedHeader("the line does not end in CRLF")
    line = data[: end - 1]
    if b"\r" in line:
        return MalformedHeader("the line has a bare CR")
    kind, *words = line[len(_V1) :].split(b" ")
    if kind == b"UNKNOWN":  # the rest of the line must be ignored
        return ProxyHeader(1, end + 1, None)
    if kind not in (b"TCP4", b"TCP6") or len(words) != 4:
        return MalformedHeader("the line is not TCP4, TCP6 or UNKNOWN with two addresses and two ports")
    source, destination, source_port, destination_port = words
    addresses = [_address(text, 4 if kind == b"TCP4" else 6) for text in (source, destination)]
    ports = [_port(text) for text in (source_port, destination_port)]
    if addresses[0] is None or addresses[1] is None:
        return MalformedHeader("an address is not of the announced family")
    if ports[0] is None or ports[1] is None:
        return MalformedHeader("a port is not a number from 0 to 65535")
    return ProxyHeader(1, end + 1, (addresses[0], ports[0]))


def _address(text: bytes, version: int) -> str | None:
    if b"%" in text:  # a zone means something only to the proxy
        return None
    try:
        address = ipaddress.ip_address(text.decode("ascii"))
    except ValueError:
        return None
    return str(address) if address.version == version else None


def _port(text: bytes) -> int | None:
    number = int(text) if _V1_NUMBER.fullmatch(text) else -1
    return number if 0 <= number <= 65535 else None


# -- version 2: 16 bytes, addresses, and entries of type, length and value ("TLV")


def _parse_v2(data: bytes) -> Parsed:
    if (bad := _bad_command(data)) is not None:
        return bad
    if len(data) < _V2_FIXED_BYTES:
        return None
    length = _V2_FIXED_BYTES + int.from_bytes(data[14:16], "big")
    if length > MAX_BYTES:
        return MalformedHeader(f"it announces {length} bytes, and {MAX_BYTES} are accepted")
    size = _ADDRESS_BYTES.get(data[13]) if data[12] & 0xF == _PROXY else None
    if size is None:  # it has nothing that we use
        return ProxyHeader(2, length, None) if len(data) >= length else None
    end = _V2_FIXED_BYTES + 2 * size + 4
    if length < end:
        return MalformedHeader("it is too short for its addresses")
    if len(data) < length:
        return None
    if (bad := _bad_pieces(data[:length], end)) is not None:
        return bad
    address = ipaddress.ip_address(data[_V2_FIXED_BYTES : _V2_FIXED_BYTES + size])
    return ProxyHeader(2, length, (str(address), int.from_bytes(data[end - 4 : end - 2], "big")))


def _bad_command(data: bytes) -> MalformedHeader | None:
    """What is wrong with the command and family bytes, as far as they have arrived."""
    command, family = data[12:13], data[13:14]
    if command and command[0] >> 4 != 2:
        return MalformedHeader("the version is not 2")
    if command and command[0] & 0xF not in (_LOCAL, _PROXY):
        return MalformedHeader("the command is neither LOCAL nor PROXY")
    if family and command[0] & 0xF == _PROXY and (family[0] >> 4 > 3 or family[0] & 0xF > 2):
        return MalformedHeader("the address family or the transport protocol is not known")
    return None


def _bad_pieces(header: bytes, at: int) -> MalformedHeader | None:
    """What is wrong with the TLVs after the addresses: none is used, but a checksum has to be right."""
    checksum_at = 0
    while at < len(header):
        end = at + 3 + int.from_bytes(header[at + 1 : at + 3], "big")
        if at + 3 > len(header) or end > len(header):
            return MalformedHeader("a TLV is longer than the header")
        if header[at] == _TLV_CRC32C:
            if checksum_at or end - at != 7:
                return MalformedHeader("it has more than one checksum, or one of a wrong length")
            checksum_at = at + 3
        at = end
    if checksum_at:
        claimed = header[checksum_at : checksum_at + 4]
        if _crc32c(header[:checksum_at] + bytes(4) + header[checksum_at + 4 :]) != claimed:
            return MalformedHeader("its checksum is wrong")
    return None


def _crc32c(data: bytes) -> bytes:
    value = 0xFFFFFFFF
    table = _crc32c_table()
    for byte in data:
        value = value >> 8 ^ table[(value ^ byte) & 0xFF]
    return (value ^ 0xFFFFFFFF).to_bytes(4, "big")


@cache
def _crc32c_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)

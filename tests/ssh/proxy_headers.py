"""Headers of the PROXY protocol, put together by the specification's tables and not by the parser's."""

from __future__ import annotations

import ipaddress
import struct

SIGNATURE = bytes([0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A])
LOCAL, PROXY = 0x20, 0x21
UNSPEC, TCP4, UDP4, TCP6, UDP6, UNIX = 0x00, 0x11, 0x12, 0x21, 0x22, 0x31


def v1(source: str, destination: str = "", source_port: int = 50000, port: int = 22) -> bytes:
    """A line for a connection over IPv4 or IPv6."""
    version = ipaddress.ip_address(source).version
    destination = destination or ("192.0.2.22" if version == 4 else "2001:db8::22")
    return f"PROXY TCP{version} {source} {destination} {source_port} {port}\r\n".encode()


def v2(source: str, source_port: int = 50000, pieces: bytes = b"") -> bytes:
    """A binary header for a connection over IPv4 or IPv6, with TLVs."""
    address = ipaddress.ip_address(source)
    destination = ipaddress.ip_address("192.0.2.22" if address.version == 4 else "2001:db8::22")
    body = address.packed + destination.packed + struct.pack("!HH", source_port, 22)
    return binary(PROXY, TCP4 if address.version == 4 else TCP6, body + pieces)


def binary(command: int, family: int, body: bytes = b"", length: int | None = None) -> bytes:
    """A binary header of any kind."""
    return SIGNATURE + struct.pack("!BBH", command, family, len(body) if length is None else length) + body


def piece(kind: int, value: bytes) -> bytes:
    """A TLV."""
    return struct.pack("!BH", kind, len(value)) + value

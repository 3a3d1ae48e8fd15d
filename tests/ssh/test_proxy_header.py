"""The header of the PROXY protocol: what is one, what is none, and what is not whole yet."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.ssh.proxy_header import MAX_BYTES, MalformedHeader, NoHeader, ProxyHeader, parse
from tests.ssh.proxy_headers import (
    LOCAL,
    PROXY,
    SIGNATURE,
    TCP4,
    TCP6,
    UDP4,
    UNIX,
    UNSPEC,
    binary,
    piece,
    v1,
    v2,
)

ADDRESSES = st.ip_addresses().map(str)
PORTS = st.integers(0, 65535)
PIECES = st.lists(
    st.builds(piece, st.integers(0, 255).filter(lambda kind: kind != 3), st.binary(max_size=40)), max_size=4
).map(b"".join)
HEADERS = st.one_of(
    st.builds(lambda address, port: v1(address, "", port), ADDRESSES, PORTS),
    st.builds(v2, ADDRESSES, PORTS, PIECES),
    st.binary(max_size=60).map(lambda body: binary(LOCAL, UNSPEC, body)),
    st.just(b"PROXY UNKNOWN\r\n"),
)
BEHIND = st.binary(max_size=40)


@given(ADDRESSES, PORTS, PIECES, BEHIND)
def test_both_versions_say_who_the_client_is_and_what_follows_is_left(
    address: str, port: int, pieces: bytes, behind: bytes
) -> None:
    for version, header in ((1, v1(address, "", port)), (2, v2(address, port, pieces))):
        assert parse(header + behind) == ProxyHeader(version, len(header), (address, port))


@given(HEADERS, st.data())
def test_every_part_of_a_header_is_waited_for(header: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(header) - 1))
    assert parse(header[:cut]) is None
    assert isinstance(parse(header), ProxyHeader)


@given(HEADERS, BEHIND, st.data())
def test_a_header_in_which_a_byte_is_another_is_a_header_or_refused_or_waited_for(
    header: bytes, behind: bytes, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(header) - 1))
    changed = header[:at] + bytes([data.draw(st.integers(0, 255))]) + header[at + 1 :] + behind
    parsed = parse(changed)
    assert parsed is None or isinstance(parsed, ProxyHeader | MalformedHeader | NoHeader)
    if isinstance(parsed, ProxyHeader):
        assert parsed.length <= len(changed)


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"!\x11"]),
)
def test_no_bytes_are_an_exception(data: bytes, begin: bytes) -> None:
    parsed = parse(begin + data)
    if isinstance(parsed, ProxyHeader) and parsed.client is not None:
        ipaddress.ip_address(parsed.client[0])
        assert 0 <= parsed.client[1] <= 65535


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY TCP4 192.0.2.1 192.0.2.22 50000 22\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.22 50000 22\r\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.22 50000\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.22 50000 22 1\r\n",
        b"PROXY TCP4  192.0.2.1 192.0.2.22 50000 22\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.22 50000 65536\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.22 050000 22\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.22 +5 22\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.22 5_0 22\r\n",
        b"PROXY TCP4 192.0.2.01 192.0.2.22 50000 22\r\n",
        b"PROXY TCP4 192.0.2.256 192.0.2.22 50000 22\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 50000 22\r\n",
        b"PROXY TCP6 192.0.2.1 192.0.2.22 50000 22\r\n",
        b"PROXY TCP6 fe80::1%eth0 2001:db8::2 50000 22\r\n",
        b"PROXY TCP4 \xd9\xa1.0.2.1 192.0.2.22 50000 22\r\n",
        b"PROXY UDP4 192.0.2.1 192.0.2.22 50000 22\r\n",
        b"PROXY tcp4 192.0.2.1 192.0.2.22 50000 22\r\n",
        b"PROXY \r\n",
        b"PROXY UNKNOWN " + b"x" * 100 + b"\r\n",
    ],
)
def test_a_line_that_is_not_exactly_as_specified_is_refused(line: bytes) -> None:
    assert isinstance(parse(line), MalformedHeader)


def test_a_line_without_an_end_is_refused_after_107_bytes() -> None:
    line = b"PROXY UNKNOWN ".ljust(107, b"x")
    assert parse(line[:106]) is None
    assert isinstance(parse(line), MalformedHeader)
    assert parse(line[:105] + b"\r\n") == ProxyHeader(1, 107, None)


@pytest.mark.parametrize(
    "header",
    [
        binary(0x11, TCP4, bytes(12)),
        binary(0x22, TCP4, bytes(12)),
        binary(PROXY, 0x41, bytes(12)),
        binary(PROXY, 0x13, bytes(12)),
        binary(PROXY, TCP4, bytes(11)),
        binary(PROXY, TCP6, bytes(35)),
        binary(PROXY, TCP4, bytes(12) + b"\x04\x00"),
        binary(PROXY, TCP4, bytes(12) + b"\x04\x00\x05abcd"),
        binary(PROXY, TCP4, b"", length=65535),
        binary(LOCAL, UNSPEC, b"", length=MAX_BYTES - 15),
    ],
)
def test_a_binary_header_that_is_not_as_specified_is_refused(header: bytes) -> None:
    assert isinstance(parse(header), MalformedHeader)


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",
        binary(LOCAL, UNSPEC),
        binary(LOCAL, TCP4, bytes(12)),
        binary(LOCAL, 0xFF, b"anything"),
        binary(PROXY, UNSPEC),
        binary(PROXY, UNSPEC, b"anything"),
        binary(PROXY, UNIX, bytes(216)),
        binary(PROXY, UDP4, bytes(12)),
        binary(PROXY, 0x10, bytes(12)),
    ],
)
def test_where_no_client_is_named_the_header_is_whole_and_names_none(header: bytes) -> None:
    version = 1 if header.startswith(b"PROXY") else 2
    assert parse(header + b"SSH-2.0-x\r\n") == ProxyHeader(version, len(header), None)


CHECKED = bytes.fromhex(
    # what haproxy 2.6 sent: send-proxy-v2 proxy-v2-options crc32c,unique-id
    "0d0a0d0a000d0a515549540a211100207f0000017f000001ea486dcd030004069ac06005000a31373935373138393831"
)


def test_a_checksum_has_to_be_right() -> None:
    assert isinstance(parse(CHECKED), ProxyHeader)
    wrong = CHECKED[:-1] + bytes([CHECKED[-1] ^ 1])
    assert isinstance(parse(wrong), MalformedHeader)
    other_client = CHECKED[:19] + b"\x63" + CHECKED[20:]
    assert isinstance(parse(other_client), MalformedHeader)


def test_two_checksums_are_refused_before_either_is_computed() -> None:
    header = v2("192.0.2.1", pieces=piece(3, bytes(4)) * 500)
    assert isinstance(parse(header), MalformedHeader)


@pytest.mark.parametrize("data", [b"SSH-2.0-x\r\n", b"S", b"\n", b"\rSSH", b"PROXX ", SIGNATURE[:11] + b"x"])
def test_what_begins_otherwise_is_no_header(data: bytes) -> None:
    assert parse(data) == NoHeader()

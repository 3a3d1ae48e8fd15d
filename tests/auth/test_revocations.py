"""Revocation lists: what ssh-keygen writes is understood as ssh-keygen understands it, and nothing half."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from asyncssh.packet import Byte, String, UInt32, UInt64
from hypothesis import given, settings
from hypothesis import strategies as st

from s3sftp.auth import BadRevocations, Certificate, parse_certificate
from s3sftp.auth.krl import MAGIC, parse_krl
from s3sftp.auth.revocation_file import RevocationFile, parse_revocations
from s3sftp.auth.revocations import SerialRanges
from tests.support.commands import installed
from tests.support.ssh_ca import certify, data_of, make_key, make_krl

pytestmark = pytest.mark.slow

HEADER = MAGIC + UInt32(1) + UInt64(1) + UInt64(0) + UInt64(0) + String("") + String("")


def krl(*sections: bytes) -> bytes:
    return HEADER + b"".join(sections)


def section(kind: int, content: bytes) -> bytes:
    return Byte(kind) + String(content)


def certificates(kind: int, content: bytes, ca: bytes = b"") -> bytes:
    return section(1, String(ca) + String("") + section(kind, content))


@cache
def certificate_with(serial: int) -> Certificate:
    with TemporaryDirectory() as made:
        directory = Path(made)
        ca, key = make_key(directory, "ca"), make_key(directory, "key")
        return parse_certificate(data_of(certify(ca, key, serial=serial, key_id="some id")))


def says_ssh_keygen(file: Path, certificate: Path) -> bool:
    """Whether ssh-keygen, too, finds the certificate in the list."""
    words = [installed("ssh-keygen"), "-Q", "-f", str(file), str(certificate)]
    return subprocess.run(words, capture_output=True, check=False, timeout=60).returncode != 0


@pytest.mark.parametrize(
    "spec",
    [
        "serial: 3\n",
        "serial: 1-4\nserial: 6\n",
        "".join(f"serial: {number}\n" for number in range(1, 60, 3)),
        "".join(f"serial: {number}\n" for number in (1, 2, 3, 5, 8, 13, 21, 34, 55)),
        "serial: 0x10-0x12\nserial: 18446744073709551615\n",
        "id: some id\n",
        "id: another\nserial: 2\n",
    ],
)
def test_ssh_keygen_and_the_server_agree_about_each_certificate(tmp_path: Path, spec: str) -> None:
    ca, key = make_key(tmp_path, "ca"), make_key(tmp_path, "key")
    file = make_krl(tmp_path / "krl", spec, authority=ca)
    revoked = parse_revocations(file.read_bytes())
    for serial in (0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 55, 56, 2**63, 2**64 - 1):
        certificate = certify(ca, key, serial=serial, key_id="some id")
        ours = revoked.why_certificate(parse_certificate(data_of(certificate))) is not None
        assert ours == says_ssh_keygen(file, certificate), serial


@pytest.mark.parametrize("revoked", ["ca", "key", "other"])
def test_ssh_keygen_and_the_server_agree_about_each_key(tmp_path: Path, revoked: str) -> None:
    keys = {name: make_key(tmp_path, name) for name in ("ca", "key", "other")}
    certificate = certify(keys["ca"], keys["key"], serial=1)
    file = make_krl(tmp_path / "krl", "", keys[revoked])
    ours = parse_revocations(file.read_bytes()).why_certificate(parse_certificate(data_of(certificate)))
    assert (ours is not None) == says_ssh_keygen(file, certificate) == (revoked != "other")


@given(st.sets(st.integers(1, 400)), st.lists(st.tuples(st.integers(1, 400), st.integers(0, 50))))
def test_ranges_contain_what_was_put_in_and_nothing_else(
    single: set[int], spans: list[tuple[int, int]]
) -> None:
    ranges = SerialRanges([*((each, each) for each in single), *((first, first + n) for first, n in spans)])
    wanted = single | {each for first, n in spans for each in range(first, first + n + 1)}
    assert {serial for serial in range(460) if serial in ranges} == wanted


@given(st.integers(0, 2**64 - 200), st.sets(st.integers(0, 150)))
def test_bitmaps_contain_their_bits(first: int, bits: set[int]) -> None:
    number = sum(1 << bit for bit in bits)
    content = UInt64(first) + String(number.to_bytes(number.bit_length() // 8 + 1, "big"))
    (revoked,) = parse_krl(krl(certificates(0x22, content))).certificates.values()
    (bitmap,) = revoked.bitmaps
    assert {bit for bit in range(-20, 200) if first + bit in bitmap} == bits


@pytest.mark.parametrize(
    ("problem", "data"),
    [
        ("format 2", MAGIC + UInt32(2) + HEADER[12:]),
        ("cut off", HEADER[:-1]),
        ("cut off", krl(section(2, String("key")))[:-1]),
        ("unknown type 9", krl(section(9, b""))),
        ("unknown type 0x30", krl(certificates(0x30, b""))),
        ("signed", krl(section(4, b""))),
        ("critical extension 'x'", krl(section(255, String("x") + b"\1" + String("")))),
        ("critical extension 'x'", krl(certificates(0x39, String("x") + b"\1" + String("")))),
        ("from 9 to 3", krl(certificates(0x21, UInt64(9) + UInt64(3)))),
        ("negative", krl(certificates(0x22, UInt64(9) + String(b"\x80")))),
        ("19 bytes", krl(section(3, String(b"x" * 19)))),
        ("20 bytes", krl(section(5, String(b"x" * 20)))),
        ("empty key", krl(section(2, String("")))),
        ("not UTF-8", krl(certificates(0x23, String(b"\xff")))),
        ("cut off", krl(certificates(0x20, b"1234567"))),
        ("cut off", krl(certificates(0x21, UInt64(1) + UInt64(2) + b"x"))),
        ("line 1: should be a public key", b"alice\n"),
        ("line 1: should be a public key", b"-----BEGIN PUBLIC KEY-----\n"),
        ("line 2: serial: 0", b"#\nserial: 0\n"),
        ("line 1: serial numbers from 9 to 3", b"serial: 9-3\n"),
        ("line 1: serial numbers from 18446744073709551616", b"serial: 18446744073709551616\n"),
        ("line 1: id: has no key ID", b"id:\n"),
        ("line 1: hash: should be", b"hash: MD5:00\n"),
        ("is empty", b""),
    ],
)
def test_what_is_not_understood_makes_the_list_unusable_and_is_named(problem: str, data: bytes) -> None:
    with pytest.raises(BadRevocations, match=problem):
        parse_revocations(data)


def test_an_extension_that_is_not_critical_is_skipped() -> None:
    extension = String("x") + b"\0" + String("y")
    data = krl(section(255, extension), certificates(0x39, extension), certificates(0x20, UInt64(7)))
    assert parse_krl(data).why_certificate(certificate_with(7))


def test_the_serial_number_0_is_that_of_no_certificate_in_particular() -> None:
    revoked = parse_krl(krl(certificates(0x21, UInt64(0) + UInt64(9))))
    assert revoked.why_certificate(certificate_with(0)) is None
    assert revoked.why_certificate(certificate_with(7))


@pytest.fixture(scope="module")
def real_krl() -> bytes:
    """Every kind of section that ssh-keygen writes."""
    with TemporaryDirectory() as made:
        directory = Path(made)
        ca, key = make_key(directory, "ca"), make_key(directory, "key", "rsa")
        spec = "serial: 1-9\nserial: 20\nserial: 22\nserial: 23\nserial: 26\nserial: 900\nid: x\n"
        lines = f"{spec}sha1: {Path(f'{key}.pub').read_text()}sha256: {Path(f'{ca}.pub').read_text()}"
        return make_krl(directory / "krl", lines, key, authority=ca).read_bytes()


@settings(deadline=None)
@given(data=st.data())
def test_a_damaged_list_is_unusable_or_a_list_and_raises_nothing_else(
    real_krl: bytes, data: st.DataObject
) -> None:
    right = real_krl
    assert parse_revocations(right).certificates
    at = data.draw(st.integers(0, len(right) - 1))
    cut = data.draw(st.integers(0, 8))
    changed = right[:at] + data.draw(st.binary(max_size=8)) + right[at + cut :]
    with suppress(BadRevocations):
        parse_revocations(changed)


@settings(deadline=None)
@given(data=st.data())
def test_a_list_that_was_cut_off_is_never_taken_for_a_whole_one(real_krl: bytes, data: st.DataObject) -> None:
    """Except between sections, where nothing tells."""
    right = real_krl
    at, ends = len(HEADER), set()
    while at < len(right):
        ends.add(at)
        at += 5 + int.from_bytes(right[at + 1 : at + 5], "big")
    length = data.draw(st.integers(1, len(right) - 1).filter(lambda each: each not in ends))
    with pytest.raises(BadRevocations):
        parse_revocations(right[:length])


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_arbitrary_bytes_are_unusable_or_comments_and_raise_nothing_else(data: bytes) -> None:
    for each in (data, MAGIC + data, HEADER + data, b"serial: " + data, b"ssh-rsa AAAA" + data):
        with suppress(BadRevocations):
            parse_revocations(each)


def test_what_is_no_file_is_unusable_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for file in (pipe, tmp_path, tmp_path / "missing"):
        with pytest.raises(BadRevocations, match=str(file)):
            RevocationFile(file).read()


def test_a_list_is_parsed_again_only_when_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[bytes] = []

    def noting(data: bytes) -> object:
        parsed.append(data)
        return parse_revocations(data)

    monkeypatch.setattr("s3sftp.auth.revocation_file.parse_revocations", noting)
    file = tmp_path / "revoked"
    file.write_text("serial: 1\n")
    revoked = RevocationFile(file)
    assert revoked.read() is revoked.read()
    other = tmp_path / "other"
    other.write_text("broken\n")
    other.replace(file)
    for _ in range(2):
        with pytest.raises(BadRevocations):
            revoked.read()
    assert parsed == [b"serial: 1\n", b"broken\n"]

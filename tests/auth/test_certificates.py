"""Certificates by their own terms: made by ssh-keygen, and what nobody's ssh-keygen makes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncssh
import pytest
from asyncssh.packet import SSHPacket, String, UInt32, UInt64
from hypothesis import given, settings
from hypothesis import strategies as st

from s3sftp.auth import Certificate, is_certificate, parse_certificate
from s3sftp.auth.certificates import require_valid
from s3sftp.errors import LoginRefused
from s3sftp.ssh import SshOptions
from tests.support.ssh_ca import certify, data_of, make_key

ALGORITHMS = SshOptions().offer.authority_signatures
BEGIN, END = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC), datetime(2026, 3, 2, 12, 0, 0, tzinfo=UTC)
WINDOW = f"{BEGIN:%Y%m%d%H%M%S}Z:{END:%Y%m%d%H%M%S}Z"
CA = asyncssh.generate_private_key("ssh-ed25519")
KEY = asyncssh.generate_private_key("ssh-ed25519")


def valid(certificate: Certificate, now: datetime = BEGIN, address: str = "192.0.2.1") -> bool:
    try:
        require_valid(certificate, address, now, ALGORITHMS)
    except LoginRefused:
        return False
    return True


def made(
    *,
    role: int = 1,
    principals: bytes = String("alice"),
    after: int = 0,
    before: int = 2**64 - 1,
    options: bytes = b"",
    extensions: bytes = b"",
    key_id: bytes = b"id",
    ca: asyncssh.SSHKey = CA,
    key_data: bytes = KEY.public_data,
) -> bytes:
    """A certificate as PROTOCOL.certkeys has it, signed rightly whatever is in it."""
    kind = b"ssh-ed25519-cert-v01@openssh.com"
    fields = key_data[4 + len("ssh-ed25519") :]
    body = b"".join(
        (
            String(kind) + String(b"n" * 32) + fields,
            UInt64(1) + UInt32(role) + String(key_id) + String(principals),
            UInt64(after) + UInt64(before) + String(options) + String(extensions) + String(b""),
            String(ca.public_data),
        )
    )
    return body + String(ca.sign(body, ca.get_algorithm().encode()))


def test_the_certificates_made_here_are_right_otherwise() -> None:
    assert valid(parse_certificate(made()))


def test_a_certificate_of_ssh_keygen_is_read_as_it_was_made(tmp_path: Path) -> None:
    ca, key = make_key(tmp_path, "ca", "ecdsa"), make_key(tmp_path, "key", "rsa")
    file = certify(ca, key, "-V", WINDOW, principals="alice,ops", key_id="a b", serial=2**64 - 1)
    certificate = parse_certificate(data_of(file))
    assert certificate.principals == ("alice", "ops")
    assert (certificate.key_id, certificate.serial) == ("a b", 2**64 - 1)
    assert certificate.key.public_data == data_of(Path(f"{key}.pub"))
    assert certificate.authority.public_data == data_of(Path(f"{ca}.pub"))
    assert certificate.signature_algorithm == "ecdsa-sha2-nistp256"


def test_a_certificate_begins_and_ends_at_its_second(tmp_path: Path) -> None:
    file = certify(make_key(tmp_path, "ca"), make_key(tmp_path, "key"), "-V", WINDOW)
    certificate = parse_certificate(data_of(file))
    second = timedelta(seconds=1)
    assert not valid(certificate, BEGIN - second)
    assert valid(certificate, BEGIN)
    assert valid(certificate, END - second)
    assert not valid(certificate, END)


@pytest.mark.parametrize(
    ("networks", "allowed", "refused"),
    [
        ("192.0.2.0/24", "192.0.2.1", "192.0.3.1"),
        ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("10.0.0.0/8,192.0.2.0/24", "10.1.1.1", "11.0.0.1"),
        ("2001:db8::/32", "2001:db8::1", "2001:db9::1"),
        ("192.0.2.0/24", "::ffff:192.0.2.1", "not an address"),
    ],
)
def test_source_address_is_enforced(tmp_path: Path, networks: str, allowed: str, refused: str) -> None:
    ca, key = make_key(tmp_path, "ca"), make_key(tmp_path, "key")
    certificate = parse_certificate(data_of(certify(ca, key, "-O", f"source-address={networks}")))
    now = datetime.now(UTC)
    assert valid(certificate, now, allowed)
    assert not valid(certificate, now, refused)


@pytest.mark.parametrize(
    ("why", "data"),
    [
        ("malformed", made(options=String("source-address") + String(b"no string"))),
        ("malformed", made(options=String("source-address") + String(String("10.0.0.1/8")))),
        ("malformed", made(options=String("source-address") + String(String("")))),
        ("malformed", made(options=String("source-address") + String(String("192.0.2.1") + b"x"))),
        ("malformed", made(options=String("verify-required") + String("x"))),
        ("malformed", made(options=String("force-command"))),
        ("malformed", made(options=2 * (String("force-command") + String(String("internal-sftp"))))),
        ("malformed", made(extensions=b"\0\0\0\5a")),
        ("malformed", made(principals=b"\0\0\0\5a")),
        ("malformed", made(principals=String("alice\0"))),
        ("malformed", made(principals=String(b"\xff"))),
        ("malformed", made(key_id=b"a\0b")),
        ("malformed", made() + b"x"),
        ("only SFTP", made(options=String("force-command") + String(String("internal-sftp -d /x")))),
        ("unknown here", made(options=String("unheard-of") + String(""))),
        ("more than 256", made(principals=b"".join(String(str(n)) for n in range(257)))),
        ("host", made(role=2)),
        ("host", made(role=3)),
        ("no principal", made(principals=b"")),
        ("expired", made(before=0)),
        ("expired", made(after=0, before=1)),
        ("not valid before", made(after=2**64 - 1)),
    ],
)
def test_what_no_ssh_keygen_makes_is_refused_with_the_reason(why: str, data: bytes) -> None:
    with pytest.raises(LoginRefused, match=why):
        require_valid(parse_certificate(data), "192.0.2.1", BEGIN, ALGORITHMS)


@pytest.fixture(scope="module")
def whole() -> bytes:
    """A certificate of ssh-keygen."""
    with TemporaryDirectory() as made:
        directory = Path(made)
        return data_of(certify(make_key(directory, "ca"), make_key(directory, "key")))


@settings(deadline=None)
@given(data=st.data())
def test_no_changed_or_cut_certificate_is_valid_and_none_raises_anything_else(
    whole: bytes, data: st.DataObject
) -> None:
    right = whole
    assert valid(parse_certificate(right), datetime.now(UTC))
    at = data.draw(st.integers(0, len(right) - 1))
    changed = data.draw(
        st.sampled_from(
            [
                right[:at],
                right[:at] + bytes([right[at] ^ (1 << data.draw(st.integers(0, 7)))]) + right[at + 1 :],
                right[:at] + data.draw(st.binary(max_size=40)) + right[at:],
                right + data.draw(st.binary(min_size=1, max_size=8)),
            ]
        )
    )
    if changed == right:
        return
    try:
        certificate = parse_certificate(changed)
    except LoginRefused:
        return
    assert not valid(certificate, datetime.now(UTC))


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_no_certificate_and_raise_nothing_else(data: bytes) -> None:
    assert not is_certificate(data)
    for each in (data, String("ssh-rsa-cert-v01@openssh.com") + data):
        with pytest.raises(LoginRefused):
            parse_certificate(each)


def test_a_certificate_of_the_other_form_of_an_ecdsa_key_is_refused(tmp_path: Path) -> None:
    """A list of revoked keys would not find the key by that form."""
    data = data_of(certify(make_key(tmp_path, "ca"), make_key(tmp_path, "key", "ecdsa")))
    packet = SSHPacket(data)
    kind, nonce, curve, point = (packet.get_string() for _ in range(4))
    rest = data[len(packet.get_consumed_payload()) :]
    odd = point[-1] & 1
    compressed = bytes([2 + odd]) + point[1:33]
    parse_certificate(b"".join(map(String, (kind, nonce, curve, point))) + rest)
    with pytest.raises(LoginRefused, match="compressed point"):
        parse_certificate(b"".join(map(String, (kind, nonce, curve, compressed))) + rest)

"""Lines of authorized_keys: honoured to the letter, or told of when the server starts."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime

import asyncssh
import pytest
from asyncssh.packet import String
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from s3sftp.auth.address_patterns import AllowedSources
from s3sftp.auth.authorized_keys import AuthorizedKey, keys_in, parse_line

KEY = asyncssh.generate_private_key("ssh-ed25519")
PUBLIC = KEY.export_public_key().decode().strip()
OTHER = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def opens(line: str, address: str = "192.0.2.1", now: datetime = NOW, key: asyncssh.SSHKey = KEY) -> bool:
    return parse_line(line).opens(key, address, now)


def test_a_line_opens_for_its_key_alone() -> None:
    assert opens(PUBLIC)
    assert not opens(PUBLIC, key=OTHER)


def test_blank_lines_and_comments_are_skipped() -> None:
    assert len(keys_in(f"\n# a comment\n  {PUBLIC} alice@laptop  \n\t").keys) == 1


@pytest.mark.parametrize(
    ("patterns", "address", "allowed"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.0/24", "192.0.2.77", True),
        ("192.0.2.0/24,!192.0.2.77", "192.0.2.77", False),
        ("192.0.2.*", "192.0.2.9", True),
        ("192.0.?.9", "192.0.2.9", True),
        ("!192.0.2.9", "192.0.2.1", False),
        ("10.0.0.0/8, 192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::/32", "2001:db8::1%eth0", True),
        ("2001:DB8::/32", "192.0.2.1", False),
        ("*", "not an address", False),
        ("*", "2001:db8::1", True),
        ("0.0.0.0/0,!::ffff:192.0.2.66", "192.0.2.66", False),
        ("0.0.0.0/0,!::ffff:192.0.2.66", "::ffff:192.0.2.66", False),
        ("0.0.0.0/0,!::FFFF:c000:200/120", "192.0.2.66", False),
        ("::ffff:0:0/96", "192.0.2.66", True),
        ("::ffff:192.0.2.66", "192.0.2.67", False),
    ],
)
def test_from_admits_only_the_addresses_it_names(patterns: str, address: str, allowed: bool) -> None:
    assert AllowedSources(patterns).allow(address) is allowed
    assert opens(f'from="{patterns}" {PUBLIC}', address) is allowed


@pytest.mark.parametrize(
    "pattern",
    [
        "*.example.com",
        "10.0.0.1/8",
        "10.0.0.0/99",
        "!host,*",
        "",
        "a b",
        "!2001:db8:0:*,*",
        "::ffff:192.0.2.?,*",
    ],
)
def test_a_from_that_could_never_hold_or_only_look_so_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="from"):
        parse_line(f'from="{pattern}" {PUBLIC}')


def test_several_options_have_to_hold_together() -> None:
    line = f'restrict,from="192.0.2.0/24",FROM="192.0.2.1",expiry-time="20260601" {PUBLIC}'
    before = datetime(2026, 5, 31, tzinfo=UTC)
    assert opens(line, "192.0.2.1", before)
    assert not opens(line, "192.0.2.2", before)
    assert not opens(line, "192.0.2.1", NOW)


@pytest.mark.parametrize(
    ("time", "open_now"),
    [
        ("20260602", True),
        ("20260601", False),
        ("202606011201", True),
        ("20260601120001Z", True),
        ("20260601120000", False),
    ],
)
def test_a_key_opens_until_its_expiry_time(time: str, open_now: bool) -> None:
    assert opens(f'expiry-time="{time}" {PUBLIC}') is open_now


@pytest.mark.parametrize("time", ["tomorrow", "2026", "20261301", "20260601T12"])
def test_an_expiry_time_that_is_no_date_is_refused(time: str) -> None:
    with pytest.raises(ValueError, match="expiry-time"):
        parse_line(f'expiry-time="{time}" {PUBLIC}')


@pytest.mark.parametrize(
    "option",
    [
        'command="/bin/false"',
        'cert-authority="x"',
        'principals="bob"',
        'environment="A=B"',
        'permitopen="a:1"',
        'tunnel="0"',
        "verify-required",
        "no-touch-required",
        "from",
        'restrict="yes"',
        "unheard-of",
        "pty",
    ],
)
def test_an_option_that_would_be_ignored_is_refused_by_name(option: str) -> None:
    with pytest.raises(ValueError, match=option.partition("=")[0]):
        parse_line(f"{option} {PUBLIC}")


@pytest.mark.parametrize(
    "options", ["restrict", "no-pty,no-port-forwarding,no-X11-forwarding", 'command="internal-sftp"']
)
def test_an_option_that_takes_away_what_is_never_given_changes_nothing(options: str) -> None:
    assert opens(f"{options} {PUBLIC}")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "nonsense",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        'from="10.0.0.1',
        'from="10.0.0.1"',
        "from=10.0.0.1 x",
    ],
)
def test_what_is_no_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_line(line)


@pytest.mark.parametrize(
    ("kind", "curve", "more"),
    [
        ("ecdsa-sha2-nistp256", ec.SECP256R1(), b""),
        ("ecdsa-sha2-nistp384", ec.SECP384R1(), b""),
        ("ecdsa-sha2-nistp521", ec.SECP521R1(), b""),
        ("sk-ecdsa-sha2-nistp256@openssh.com", ec.SECP256R1(), String("ssh:")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_other_form_of_an_ecdsa_key_is_refused(kind: str, curve: ec.EllipticCurve, more: bytes) -> None:
    """It has another fingerprint, so a list of revoked keys would not find it. OpenSSH does not read it."""

    def line(form: PublicFormat) -> str:
        point = key.public_bytes(Encoding.X962, form)
        name = kind.removeprefix("sk-").removesuffix("@openssh.com").removeprefix("ecdsa-sha2-")
        data = String(kind) + String(name) + String(point) + more
        return f"{kind} {b64encode(data).decode()}"

    key = ec.generate_private_key(curve).public_key()
    assert parse_line(line(PublicFormat.UncompressedPoint)).algorithm == kind
    with pytest.raises(ValueError, match="compressed point"):
        parse_line(line(PublicFormat.CompressedPoint))


def test_a_short_rsa_key_is_refused() -> None:
    short = asyncssh.generate_private_key("ssh-rsa", key_size=1024).export_public_key().decode()
    with pytest.raises(ValueError, match="1024 bits"):
        parse_line(short)
    fine = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    assert isinstance(parse_line(fine.export_public_key().decode()), AuthorizedKey)


def test_a_problem_is_told_with_the_number_of_its_line() -> None:
    assert [str(each) for each in keys_in(f"{PUBLIC}\n\nbroken").problems] == ["line 3: there is no key"]


def test_a_cert_authority_is_a_ca_with_its_principals_and_opens_nothing_by_itself() -> None:
    key = parse_line(f'cert-authority,principals="ops,alice",from="192.0.2.1" {PUBLIC}')
    assert key.is_authority
    assert key.principals == ("ops", "alice")
    assert not opens(f"cert-authority {PUBLIC}")
    with pytest.raises(ValueError, match="principals"):
        parse_line(f'cert-authority,principals="ops,," {PUBLIC}')

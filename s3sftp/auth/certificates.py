"""Reads OpenSSH user certificates, and decides whether one holds by its own terms. Pure: no clock.

    bytes ──► parse_certificate ──► Certificate ──► require_valid: type, CA, time, address, options, signature

Whether its CA is trusted for the user, and whether it has been revoked, is not in the certificate: accounts
and `revocations` decide that. The format is OpenSSH's PROTOCOL.certkeys.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import asyncssh
from asyncssh.packet import PacketDecodeError, SSHPacket, String
from asyncssh.public_key import decode_ssh_public_key

from s3sftp.auth.address_patterns import plain_address
from s3sftp.auth.authorized_keys import check_key
from s3sftp.auth.key_entries import UnusableKey, leading_name
from s3sftp.errors import LoginRefused

_SUFFIX = "-cert-v01@openssh.com"
_USER = 1
_KEY_FIELDS: Mapping[str, tuple[str, int]] = {
    "ssh-ed25519": ("ssh-ed25519", 1),
    "ssh-ed448": ("ssh-ed448", 1),
    "ssh-rsa": ("ssh-rsa", 2),
    "rsa-sha2-256": ("ssh-rsa", 2),
    "rsa-sha2-512": ("ssh-rsa", 2),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256", 2),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384", 2),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521", 2),
    "sk-ssh-ed25519": ("sk-ssh-ed25519@openssh.com", 2),
    "sk-ecdsa-sha2-nistp256": ("sk-ecdsa-sha2-nistp256@openssh.com", 3),
}
"""By the certificate's type: the type of its key, and the number of fields that the key has."""
_MOST_PRINCIPALS = 256
"""As in OpenSSH."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """An OpenSSH certificate as it was sent. Nothing in it is true before `require_valid` has returned."""

    key: asyncssh.SSHKey
    """The public key that the certificate is for."""
    authority: asyncssh.SSHKey
    """The public key of the CA."""
    key_id: str
    serial: int
    """0 if the CA gave none."""
    principals: tuple[str, ...]
    is_for_users: bool
    valid_after: int
    valid_before: int
    """Seconds since 1970-01-01 UTC: valid from `valid_after` until just before `valid_before`."""
    critical_options: Mapping[str, bytes]
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @property
    def signature_algorithm(self) -> str:
        """The algorithm of the CA's signature; empty if the signature has none."""
        return leading_name(self.signature)

    @property
    def requires_verification(self) -> bool:
        """Whether the user's security key has to verify its user, such as by a PIN, for each signature."""
        return "verify-required" in self.critical_options


def is_certificate(data: bytes) -> bool:
    """Whether the public key that a client offers is an OpenSSH certificate, by its type."""
    return leading_name(data).endswith(_SUFFIX)


def parse_certificate(data: bytes) -> Certificate:
    """Parse a certificate as it stands in an authentication request, without its CA's signature being
    verified.

    Raises LoginRefused: if it is malformed, or of a key or CA that would not be accepted as an authorized
    key.
    """
    try:
        return _parse(SSHPacket(data))
    except UnusableKey as error:
        raise LoginRefused(f"the certificate cannot be used: {error}") from None
    except LoginRefused:
        raise
    except Exception:  # the libraries parse untrusted bytes, and their messages may contain some of them
        raise LoginRefused("the certificate is malformed") from None


def _parse(packet: SSHPacket) -> Certificate:
    kind = packet.get_string().decode("ascii", "replace")
    known = _KEY_FIELDS.get(kind.removesuffix(_SUFFIX))
    if known is None or not kind.endswith(_SUFFIX):
        raise LoginRefused("certificates of this type are not supported")
    packet.get_string()  # nonce
    fields = b"".join(String(packet.get_string()) for _ in range(known[1]))
    key = _key(String(known[0]) + fields)
    serial, role = packet.get_uint64(), packet.get_uint32()
    key_id = _text(packet.get_string())
    principals = tuple(map(_text, _strings(packet.get_string())))
    valid_after, valid_before = packet.get_uint64(), packet.get_uint64()
    options = _options(packet.get_string())
    _options(packet.get_string())  # extensions only grant what this server never does
    packet.get_string()  # reserved
    authority = _key(packet.get_string())
    signed = packet.get_consumed_payload()
    signature = packet.get_string()
    packet.check_end()
    if len(principals) > _MOST_PRINCIPALS:
        raise LoginRefused(f"the certificate has more than {_MOST_PRINCIPALS} principals")
    return Certificate(
        key,
        authority,
        key_id,
        serial,
        principals,
        role == _USER,
        valid_after,
        valid_before,
        options,
        signed,
        signature,
    )


def _key(data: bytes) -> asyncssh.SSHKey:
    key = decode_ssh_public_key(data)
    check_key(key)
    return key


def _text(data: bytes) -> str:
    """Text as OpenSSH takes it: without NUL.

    Raises ValueError: if it is none.
    """
    if b"\0" in data:
        raise ValueError("NUL in a text")
    return data.decode("utf-8")


def _strings(data: bytes) -> list[bytes]:
    packet, found = SSHPacket(data), []
    while packet:
        found.append(packet.get_string())
    return found


def _options(data: bytes) -> dict[str, bytes]:
    """Names and data of critical options or extensions. Each name may occur once."""
    flat = _strings(data)
    names = list(map(_text, flat[::2]))
    if len(flat) % 2 or len(set(names)) != len(names):
        raise ValueError("options without data, or twice")
    return dict(zip(names, flat[1::2], strict=True))


def require_valid(certificate: Certificate, address: str, now: datetime, algorithms: Collection[str]) -> None:
    """Return if the certificate is one for a user, is valid `now`, and permits what a client at `address` can
    do here, and if the CA that it names has signed it with one of `algorithms`.

    Raises LoginRefused: otherwise.
    """
    if not certificate.is_for_users:
        raise LoginRefused("a certificate of a host, not of a user")
    if not certificate.principals:
        raise LoginRefused("the certificate names no principal")
    seconds = int(now.timestamp())
    if seconds < certificate.valid_after:
        raise LoginRefused(f"the certificate is not valid before {_shown(certificate.valid_after)}")
    if seconds >= certificate.valid_before:
        raise LoginRefused(f"the certificate has expired at {_shown(certificate.valid_before)}")
    _require_options(certificate, address)
    if certificate.signature_algorithm not in algorithms:
        raise LoginRefused(f"the CA signs with {certificate.signature_algorithm!r}, which is not accepted")
    if not _is_signed(certificate):
        raise LoginRefused("the signature of the CA is wrong")


def _shown(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        return f"second {seconds}"


def _require_options(certificate: Certificate, address: str) -> None:
    """Enforce the critical options.

    Raises LoginRefused: if one forbids the login, or is not one that the server can enforce.
    """
    for name, data in certificate.critical_options.items():
        match name:
            case "source-address":
                _require_source(_option_text(name, data), address)
            case "force-command":
                # any other command would have to be run instead of what the client asks for
                if (command := _option_text(name, data)) != "internal-sftp":
                    raise LoginRefused(
                        f"the critical option force-command asks for {command!r}; only SFTP is served"
                    )
            case "verify-required":
                if data:
                    raise LoginRefused("the critical option verify-required is malformed")
                if not certificate.key.get_algorithm().startswith("sk-"):
                    raise LoginRefused("the critical option verify-required needs a key of a security key")
            case _:
                raise LoginRefused(f"the critical option {name!r} is unknown here")


def _option_text(name: str, data: bytes) -> str:
    try:
        packet = SSHPacket(data)
        text = _text(packet.get_string())
        packet.check_end()
    except (PacketDecodeError, ValueError):
        raise LoginRefused(f"the critical option {name} is malformed") from None
    return text


def _require_source(networks: str, address: str) -> None:
    try:
        allowed = [ipaddress.ip_network(network) for network in networks.split(",")]
    except ValueError:
        raise LoginRefused(f"the critical option source-address is malformed: {networks!r}") from None
    try:
        source = plain_address(address)
    except ValueError:
        raise LoginRefused("the client's address is unknown, and the certificate restricts it") from None
    if not any(source in network for network in allowed):
        raise LoginRefused(f"the certificate may be used from {networks} only")


def _is_signed(certificate: Certificate) -> bool:
    try:
        return certificate.authority.verify(certificate.signed, certificate.signature)
    except Exception:  # the libraries parse untrusted bytes
        return False

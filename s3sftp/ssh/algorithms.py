"""Selects the algorithms to offer, in order of preference; the client's order decides among them.

    modern       sound algorithms, post-quantum key exchange first               the default
    compatible   modern, followed by weak but unbroken algorithms                ssh.algorithms
    additions    any sound or weak algorithm by its name, after all others       ssh.extra_algorithms
    refused      broken algorithms: no setting offers them

A configured list (`ssh.ciphers`) replaces the policy's list and must not contain weak names; those need
`ssh.extra_algorithms`. asyncssh's own defaults include weak and broken algorithms, so lists are always passed
to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from asyncssh.encryption import get_encryption_algs
from asyncssh.kex import get_kex_algs
from asyncssh.mac import get_mac_algs
from asyncssh.public_key import get_public_key_algs

from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.ssh")
Kind = Literal["key_exchanges", "ciphers", "macs", "signatures"]
Policy = Literal["modern", "compatible"]

_SHA1_HANDSHAKE = "SHA-1 binds the handshake together, and collisions of SHA-1 can be made"
_CBC = "CBC: plaintext can leak, bit by bit, to who alters packets; with an -etm code Terrapin works"
_SHA1_MAC = "SHA-1; no attack on it as a message authentication code is known, but nothing needs it any more"

RISKS: Mapping[str, str] = MappingProxyType(
    {
        "diffie-hellman-group14-sha1": _SHA1_HANDSHAKE,
        "aes128-cbc": _CBC,
        "aes192-cbc": _CBC,
        "aes256-cbc": _CBC,
        "hmac-sha1-etm@openssh.com": _SHA1_MAC,
        "hmac-sha1": _SHA1_MAC,
        "ssh-rsa": "RSA signatures over SHA-1: who can pay for a collision may pose as a user or the server",
    }
)
"""Weak but unbroken algorithms, and their risks. Offered only if the operator has asked for them."""

WEAK_ADVICE = "remove it again as soon as no client needs it"

REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "group1-": "a group of 1024 bits can be broken by who has prepared for it (Logjam)",
        "rsa1024": "RSA of 1024 bits can be broken",
        "group-exchange": "the client may ask for a group of 1024 bits, and would get it",
        "gss-": "there is no Kerberos here",
        "arcfour": "RC4 is broken",
        "3des": "blocks of 64 bits repeat in long sessions (Sweet32)",
        "blowfish": "blocks of 64 bits repeat in long sessions (Sweet32)",
        "cast128": "blocks of 64 bits repeat in long sessions (Sweet32)",
        "md5": "MD5 is broken",
        "-96": "a code that is cut to 96 bits is easier to forge",
        "ssh-dss": "DSA keys have 1024 bits and SHA-1",
        "-cbc": "CBC, and not even with AES",
        "sha1": "SHA-1",
        "none": "no protection at all",
    }
)
"""Parts of names that are never offered, and why. If RISKS has the whole name, RISKS takes precedence."""


def _installed(names: Iterable[bytes]) -> frozenset[str]:
    return frozenset(name.decode("ascii") for name in names)


_INSTALLED: Mapping[Kind, frozenset[str]] = MappingProxyType(
    {
        "key_exchanges": _installed(get_kex_algs()),
        "ciphers": _installed(get_encryption_algs()),
        "macs": _installed(get_mac_algs()),
        "signatures": _installed(get_public_key_algs()),
    }
)
MODERN: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        "key_exchanges": (
            # hybrids of post-quantum and classical methods: traffic that is recorded today stays secret
            "mlkem768x25519-sha256",
            "sntrup761x25519-sha512",
            "sntrup761x25519-sha512@openssh.com",
            "mlkem768nistp256-sha256",
            "mlkem1024nistp384-sha384",
            "curve25519-sha256",
            "curve25519-sha256@libssh.org",
            "ecdh-sha2-nistp521",
            "ecdh-sha2-nistp384",
            "ecdh-sha2-nistp256",
            "diffie-hellman-group18-sha512",
            "diffie-hellman-group16-sha512",
            "diffie-hellman-group14-sha256",
        ),
        "ciphers": (
            "aes128-gcm@openssh.com",
            "aes256-gcm@openssh.com",
            "aes128-ctr",
            "aes192-ctr",
            "aes256-ctr",
        ),
        "macs": (
            "hmac-sha2-256-etm@openssh.com",
            "hmac-sha2-512-etm@openssh.com",
            "hmac-sha2-256",
            "hmac-sha2-512",
        ),
        "signatures": (
            "ssh-ed25519",
            "sk-ssh-ed25519@openssh.com",
            "ecdsa-sha2-nistp256",
            "ecdsa-sha2-nistp384",
            "ecdsa-sha2-nistp521",
            "sk-ecdsa-sha2-nistp256@openssh.com",
            "ssh-ed448",
            "rsa-sha2-512",
            "rsa-sha2-256",
        ),
    }
)
COMPATIBLE: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        "key_exchanges": ("diffie-hellman-group14-sha1",),
        "ciphers": ("aes128-cbc", "aes192-cbc", "aes256-cbc"),
        "macs": ("hmac-sha1-etm@openssh.com", "hmac-sha1"),
        "signatures": (),
    }
)
"""What the policy `compatible` adds to MODERN."""
BY_NAME: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        "key_exchanges": (
            "curve448-sha512",
            "diffie-hellman-group14-sha224@ssh.com",
            "diffie-hellman-group14-sha256@ssh.com",
            "diffie-hellman-group15-sha256@ssh.com",
            "diffie-hellman-group15-sha384@ssh.com",
            "diffie-hellman-group15-sha512",
            "diffie-hellman-group16-sha384@ssh.com",
            "diffie-hellman-group16-sha512@ssh.com",
            "diffie-hellman-group17-sha512",
            "diffie-hellman-group18-sha512@ssh.com",
            "ecdh-sha2-1.3.132.0.10",
            "rsa2048-sha256",
        ),
        "ciphers": ("chacha20-poly1305@openssh.com",),
        "macs": (
            "umac-128-etm@openssh.com",
            "umac-64-etm@openssh.com",
            "umac-128@openssh.com",
            "umac-64@openssh.com",
            "hmac-sha224@ssh.com",
            "hmac-sha256-2@ssh.com",
            "hmac-sha256@ssh.com",
            "hmac-sha384@ssh.com",
            "hmac-sha512@ssh.com",
        ),
        "signatures": (
            "ecdsa-sha2-1.3.132.0.10",
            "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
            "ssh-rsa-sha224@ssh.com",
            "ssh-rsa-sha256@ssh.com",
            "ssh-rsa-sha384@ssh.com",
            "ssh-rsa-sha512@ssh.com",
            "ssh-rsa",
        ),
    }
)
"""Algorithms that no policy offers but additions and configured lists may. Those not in RISKS are sound."""
_USABLE: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {kind: (*MODERN[kind], *COMPATIBLE[kind], *BY_NAME[kind]) for kind in MODERN}
)


@dataclass(frozen=True, slots=True)
class Offer:
    """The algorithms that a server offers, of each kind in order of preference."""

    key_exchanges: tuple[str, ...]
    ciphers: tuple[str, ...]
    macs: tuple[str, ...]
    signatures: tuple[str, ...]

    def of(self, kind: Kind) -> tuple[str, ...]:
        """The list of one kind."""
        names: tuple[str, ...] = getattr(self, kind)
        return names

    @property
    def weak(self) -> dict[str, str]:
        """The weak algorithms in the offer, and the risk of each."""
        names = (*self.key_exchanges, *self.ciphers, *self.macs, *self.signatures)
        return {name: RISKS[name] for name in names if name in RISKS}


def offer_of(policy: Policy, lists: Mapping[Kind, Sequence[str]], additions: Sequence[str]) -> Offer:
    """The offer: for each kind the given list, else the policy's, followed by the additions.

    Names of the policy that the installed libraries lack are left out.
    """
    kinds: dict[Kind, tuple[str, ...]] = {}
    for kind, installed in _INSTALLED.items():
        names = lists.get(kind) or [
            *MODERN[kind],
            *(COMPATIBLE[kind] if policy == "compatible" else ()),
        ]
        added = [name for name in additions if kind_of(name) == kind]
        kinds[kind] = tuple(dict.fromkeys(name for name in (*names, *added) if name in installed))
    return Offer(**kinds)


def warn_of_weak(offer: Offer) -> None:
    """Log a warning for each weak algorithm, with its risk."""
    for name, risk in offer.weak.items():
        _log.warning("algorithm.weak", algorithm=name, risk=risk, advice=WEAK_ADVICE)


def kind_of(name: str) -> Kind | None:
    """The kind of an algorithm; None if it is never offered."""
    return next((kind for kind, names in _USABLE.items() if name in names), None)


def checked(names: tuple[str, ...], kind: Kind) -> tuple[str, ...]:
    """The names, unchanged.

    Raises ValueError: if a name cannot be in a list of this kind; the text has each, and why.
    """
    _refuse_broken(names)
    weak = [name for name in names if name in RISKS]
    if weak:
        raise ValueError(
            f"{', '.join(weak)}: too weak for a list; ssh.extra_algorithms adds it behind the others"
        )
    _refuse_unknown(names, (kind,))
    return names


def checked_additions(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, unchanged.

    Raises ValueError: if a name cannot be an addition; the text has each, and why.
    """
    _refuse_broken(names)
    _refuse_unknown(names, tuple(_USABLE))
    return names


def advice_for(names: Sequence[str]) -> str:
    """What the operator can do for a client that offers only these names of their kind."""
    possible = [name for name in names if (kind := kind_of(name)) and name in _INSTALLED[kind]]
    compatible = {name for kind in COMPATIBLE.values() for name in kind}
    if by_policy := [name for name in possible if name in compatible]:
        return f'ssh.algorithms = "compatible" would offer {by_policy[0]}; or update the client'
    if possible:
        return f'ssh.extra_algorithms = ["{possible[0]}"] would offer it; or update the client'
    return "update the client: none of the algorithms that it offers is safe enough"


def _refuse_broken(names: Sequence[str]) -> None:
    reasons = {name: reason for name in names if (reason := _broken(name)) is not None}
    if reasons:
        problem = "; ".join(f"{name}: too weak to be offered, {reason}" for name, reason in reasons.items())
        raise ValueError(problem)


def _refuse_unknown(names: Sequence[str], kinds: Sequence[Kind]) -> None:
    usable = {name for kind in kinds for name in _USABLE[kind]}
    if unknown := [name for name in names if name not in usable]:
        shown = ", ".join(unknown).encode("ascii", "backslashreplace").decode("ascii")
        raise ValueError(f"unknown here: {shown}; known: {', '.join(sorted(usable))}")
    installed = {name for kind in kinds for name in _INSTALLED[kind]}
    if lacking := [name for name in names if name not in installed]:
        raise ValueError(f"the installed libraries (asyncssh, cryptography) lack {', '.join(lacking)}")


def _broken(name: str) -> str | None:
    """Why an algorithm is never offered; None if it may be offered or is unknown."""
    if name in RISKS:
        return None
    return next((reason for part, reason in REFUSED.items() if part in name), None)

"""Which algorithms are offered, in order of preference; the client's order decides among them.

Left out on purpose: whatever has SHA-1, MD5, a group below 2048 bits, CBC, RC4, a shortened MAC or no
cipher at all; and compression. asyncssh's own defaults still have some of these, so lists are always given.
"""

from __future__ import annotations

from collections.abc import Iterable

from asyncssh.encryption import get_encryption_algs
from asyncssh.kex import get_kex_algs
from asyncssh.mac import get_mac_algs
from asyncssh.public_key import get_public_key_algs

_REFUSED = ("sha1", "-cbc", "arcfour", "md5", "ssh-dss", "none", "gss-", "rsa1024", "-96", "group1-")
_REFUSED_EXACTLY = frozenset({"ssh-rsa"})


def _installed(names: Iterable[bytes]) -> frozenset[str]:
    return frozenset(name.decode("ascii") for name in names)


_KNOWN = {
    "key_exchanges": _installed(get_kex_algs()),
    "ciphers": _installed(get_encryption_algs()),
    "macs": _installed(get_mac_algs()),
    "signatures": _installed(get_public_key_algs()),
}


def _available(kind: str, *wanted: str) -> tuple[str, ...]:
    return tuple(name for name in wanted if name in _KNOWN[kind])


KEY_EXCHANGES = _available(
    "key_exchanges",
    # post-quantum together with a classical curve: what is recorded today stays secret
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
)
CIPHERS = _available(
    "ciphers",
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
MACS = _available(
    "macs",
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
SIGNATURES = _available(
    "signatures",
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-ed448",
    "rsa-sha2-512",
    "rsa-sha2-256",
)


def checked(names: tuple[str, ...], kind: str) -> tuple[str, ...]:
    """The names, if every one can be offered. Raises ValueError that says which cannot, and what can."""
    if not names:
        raise ValueError("should name at least one")
    broken = [name for name in names if _is_broken(name)]
    if broken:
        raise ValueError(f"{', '.join(broken)}: too weak to be offered")
    unknown = [name for name in names if name not in _KNOWN[kind]]
    if unknown:
        usable = ", ".join(sorted(name for name in _KNOWN[kind] if not _is_broken(name)))
        raise ValueError(f"unknown here: {', '.join(unknown)}; known: {usable}")
    return names


def _is_broken(name: str) -> bool:
    return name in _REFUSED_EXACTLY or any(mark in name for mark in _REFUSED)

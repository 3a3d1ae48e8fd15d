"""Reports what a client and the server have negotiated, or why they have no algorithm in common.

KEXINIT of both ─┬─► common algorithms    `agreement`, for the log of the login
                 └─► none of some kind    `mismatches`: what is missing, and what would help
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from asyncssh.packet import PacketDecodeError, SSHPacket

from s3sftp.ssh.algorithms import Kind, Offer, advice_for

_COOKIE_BYTES = 1 + 16
_LISTS: tuple[tuple[str, Kind], ...] = (
    ("key exchange", "key_exchanges"),
    ("host key", "signatures"),
    ("cipher", "ciphers"),
    ("cipher", "ciphers"),
    ("MAC", "macs"),
    ("MAC", "macs"),
)
"""The name-lists of a KEXINIT, as far as they matter (RFC 4253, 7.1)."""
_WITHOUT_MAC = ("chacha20", "aes128-gcm", "aes256-gcm")
_SHOWN_CHARS = 500


@dataclass(frozen=True, slots=True)
class AlgorithmMismatch:
    """What is missing, what the client offers instead, and how to fix it."""

    missing: str
    offered: str
    advice: str


def note_agreement(conn: Any) -> None:
    """Keep the key exchange method and the host key algorithm of a connection, for `agreement`.

    asyncssh keeps ciphers and MACs, but discards the key exchange when it is complete.
    """
    send_newkeys = conn.send_newkeys

    def noting(k: bytes, h: bytes) -> None:
        host_key = conn.get_server_host_key()
        conn.set_extra_info(
            key_exchange=conn._kex.algorithm.decode("ascii"),
            host_key=host_key.algorithm.decode("ascii") if host_key else None,
        )
        send_newkeys(k, h)

    conn.send_newkeys = noting


def agreement(conn: Any) -> dict[str, str | None]:
    """The algorithms in the server's sending direction. If the cipher needs no MAC, it also takes the MAC's
    place."""
    return {
        "key_exchange": conn.get_extra_info("key_exchange"),
        "host_key": conn.get_extra_info("host_key"),
        "cipher": conn.get_extra_info("send_cipher"),
        "mac": conn.get_extra_info("send_mac"),
    }


def mismatches(kexinit: bytes, offer: Offer, host_key_algorithms: Collection[str]) -> list[AlgorithmMismatch]:
    """Every list of the client's KEXINIT that has nothing in common with the offer; none if it is not a
    KEXINIT."""
    found: dict[str, AlgorithmMismatch] = {}
    needs_mac = True
    for (what, kind), names in zip(_LISTS, name_lists(kexinit), strict=False):
        ours = host_key_algorithms if what == "host key" else offer.of(kind)
        chosen = next((name for name in names if name in ours), None)
        if what == "cipher" and chosen is not None:
            needs_mac = not chosen.startswith(_WITHOUT_MAC)
        if chosen is None and (what != "MAC" or needs_mac):
            found[what] = AlgorithmMismatch(what, ",".join(names)[:_SHOWN_CHARS], _advice(what, names, offer))
    return list(found.values())


def _advice(what: str, names: Sequence[str], offer: Offer) -> str:
    if what == "host key" and (known := [name for name in names if name in offer.signatures]):
        return f"the client knows host keys of type {known[0]}: add one to ssh.host_keys"
    return advice_for(names, offer.policy)


def name_lists(kexinit: bytes) -> list[list[str]]:
    """The name-lists of a KEXINIT, up to the MACs and in their order (RFC 4253, 7.1); none if it is no
    KEXINIT."""
    packet = SSHPacket(kexinit)
    try:
        packet.get_bytes(_COOKIE_BYTES)
        texts = [packet.get_string().decode("ascii", "replace") for _ in _LISTS]
    except PacketDecodeError:
        return []
    return [text.split(",") if text else [] for text in texts]

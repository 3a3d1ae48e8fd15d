"""Records the algorithms that a client and the server have negotiated, for the log."""

from __future__ import annotations

from typing import Any


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

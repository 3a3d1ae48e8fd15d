"""What a client and the server have agreed on, for the log."""

from __future__ import annotations

from typing import Any


def note_agreement(conn: Any) -> None:
    """Keep the key exchange and the host key's algorithm of a connection, as `agreement` tells them.

    asyncssh keeps ciphers and MACs, and lets go of the key exchange when it is done with it.
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
    """The algorithms of what the server sends; a cipher that needs no MAC is in its place too."""
    return {
        "key_exchange": conn.get_extra_info("key_exchange"),
        "host_key": conn.get_extra_info("host_key"),
        "cipher": conn.get_extra_info("send_cipher"),
        "mac": conn.get_extra_info("send_mac"),
    }

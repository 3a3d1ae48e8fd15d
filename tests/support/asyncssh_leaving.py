"""The ways in which a client of asyncssh goes away without a CLOSE of its files."""

from __future__ import annotations

import asyncssh


def leave(connection: asyncssh.SSHClientConnection, sftp: asyncssh.SFTPClient, vice: str) -> None:
    """Go away: the client `drops the connection`, `disconnects`, `sends EOF` or `closes the channel`."""
    match vice:
        case "drops the connection":
            connection._transport.abort()  # type: ignore[union-attr]
        case "disconnects":
            connection.disconnect(asyncssh.DISC_BY_APPLICATION, "bye")
        case "sends EOF":
            sftp._handler._writer.write_eof()  # type: ignore[union-attr]
        case "closes the channel":
            sftp.exit()
        case _:
            raise ValueError(vice)

"""The answer to everything that SSH can do besides sessions: no, and it is noted."""

from __future__ import annotations

from typing import Any

import asyncssh


class NothingButSessions(asyncssh.SSHServer):
    """Refuses to forward ports, sockets and networks, and tells each refusal to `refused`."""

    def refused(self, what: str) -> None:
        """A request was refused. Subclasses log it."""

    def connection_requested(self, *_: Any) -> bool:
        self.refused("direct-tcpip")
        return False

    def server_requested(self, *_: Any) -> bool:
        self.refused("tcpip-forward")
        return False

    def unix_connection_requested(self, *_: Any) -> bool:
        self.refused("direct-streamlocal")
        return False

    def unix_server_requested(self, *_: Any) -> bool:
        self.refused("streamlocal-forward")
        return False

    def tun_requested(self, *_: Any) -> bool:
        self.refused("tun")
        return False

    def tap_requested(self, *_: Any) -> bool:
        self.refused("tap")
        return False

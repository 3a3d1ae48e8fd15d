"""Refuses everything that SSH offers besides SFTP, and reports each refusal for the log.

A refused exec or shell ends its channel, as clients know it from other SFTP-only servers: a sentence for the
person, the failure if the client wants an answer, an exit status, EOF, CLOSE. Some clients send exec without
asking for an answer and then wait for that end. A refused subsystem may still be followed by an exec on the
same channel (PuTTY falls back this way), so its channel ends with the next refusal, or after a short time.

A terminal request is granted although there is none: `ssh -tt` exits if it is refused, and would not show the
sentence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncssh
from asyncssh.constants import EXTENDED_DATA_STDERR, MSG_CHANNEL_EXTENDED_DATA
from asyncssh.packet import String, UInt32

from s3sftp.ssh.openssh_tolerance import ignore_requests

_SENTENCE = b"This server speaks SFTP only.\r\n"
_EXIT_STATUS = 1
"""The exit status of OpenSSH's `internal-sftp` when asked for anything else."""
_SHOWN_SECONDS = 2.0
"""Maximum wait before the failure, for the client to show the sentence."""
_FALLBACK_SECONDS = 10.0
"""Time for a client to request something else after its subsystem was refused."""
_NO_END = "phpseclib"
"""Part of the version of clients that mistake the end of a channel, after the failure on it, for the answer
to their next request on another channel: they get only the failure."""
_MISFITS = {
    "_process_env_request": "env",
    "_process_x11_req_request": "x11",
    "_process_auth_agent_req_at_openssh_dot_com_request": "agent",
}
"""Channel requests whose refusal changes nothing."""
USUAL = frozenset({"env", "agent"})
"""What clients request at ordinary logins because of their configuration; logged at debug level only."""
_CANCELLATIONS = {
    "_process_cancel_tcpip_forward_global_request": "cancel-tcpip-forward",
    "_process_cancel_streamlocal_forward_at_openssh_dot_com_global_request": "cancel-streamlocal-forward",
}


class SftpOnlyServer(asyncssh.SSHServer):
    """Refuses to forward ports, sockets and networks, and reports each refusal to `refused`."""

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


def refuse_cancellations(conn: Any, refused: Callable[[str], None]) -> None:
    """Refuse to cancel forwardings, which never exist: asyncssh would end the connection."""

    def refusing(kind: str) -> Callable[[Any], None]:
        def refuse(_packet: Any) -> None:
            refused(kind)
            conn._report_global_response(False)

        return refuse

    for handler, kind in _CANCELLATIONS.items():
        setattr(conn, handler, refusing(kind))


class ChannelRequests:
    """Handles the requests of one session channel: the `sftp` subsystem once, and nothing else.

    asyncssh itself accepts and stores any number of environment variables, decides on terminals and
    forwardings elsewhere, and leaves a channel open on which everything was refused. It looks up a request's
    handler by name in the channel, where these replace its own.
    """

    def __init__(
        self,
        conn: Any,
        channel: Any,
        refused: Callable[[str], None],
        shown: Callable[[float], Awaitable[None]],
    ) -> None:
        """`refused` is called with each refused request; `shown` waits until the client has processed what
        was sent, or at most its argument in seconds."""
        self._conn = conn
        self._channel = channel
        self._refused = refused
        self._shown = shown
        self._take_subsystem = channel._process_subsystem_request
        self._running = False
        self._fallback: asyncio.TimerHandle | None = None
        for handler, kind in _MISFITS.items():
            setattr(channel, handler, self._refusing(kind))
        channel._process_pty_req_request = lambda _packet: True
        channel._process_window_change_request = lambda _packet: True
        channel._process_exec_request = lambda _packet: self._refuse("exec")
        channel._process_shell_request = lambda _packet: self._refuse("shell")
        channel._process_subsystem_request = self._subsystem

    def _refusing(self, kind: str) -> Callable[[Any], bool]:
        def refuse(_packet: Any) -> bool:
            self._refused(kind)
            return False

        return refuse

    def _subsystem(self, packet: Any) -> bool | None:
        if self._running:
            return self._refuse("subsystem")
        self._running = bool(self._take_subsystem(packet))
        if self._running:
            self._await_no_fallback()
            return True
        self._channel._session_started = False  # asyncssh counts a refused one as started
        _, _, wants_reply = self._channel._request_queue[0]
        if self._fallback is not None or not wants_reply:
            return self._refuse("subsystem")
        self._refused("subsystem")
        self._fallback = asyncio.get_running_loop().call_later(_FALLBACK_SECONDS, self._no_fallback_came)
        return False

    def _refuse(self, kind: str) -> bool | None:
        """Refuse, and end the channel if nothing runs in it. None: the answer follows later."""
        self._refused(kind)
        if self._running:
            return False
        self._await_no_fallback()
        self._begin_to_end(answer=True)
        return None

    def _no_fallback_came(self) -> None:
        if not self._channel.is_closing():
            self._begin_to_end(answer=False)

    def _begin_to_end(self, *, answer: bool) -> None:
        ignore_requests(self._channel)
        self._conn.create_task(self._end(answer=answer))

    def _await_no_fallback(self) -> None:
        if self._fallback is not None:
            self._fallback.cancel()

    async def _end(self, *, answer: bool) -> None:
        """Send the sentence, wait until it has been shown, then send the failure and end the channel.

        OpenSSH's client exits at the failure without showing what it still holds. Its answer to a keepalive
        request proves that it has shown everything sent before.
        """
        channel = self._channel
        if channel._send_window >= len(_SENTENCE):
            channel.send_packet(MSG_CHANNEL_EXTENDED_DATA, UInt32(EXTENDED_DATA_STDERR), String(_SENTENCE))
            await self._shown(_SHOWN_SECONDS)
        if answer:
            channel._report_response(False)
        no_end = answer and _NO_END in str(self._conn.get_extra_info("client_version"))
        if not (no_end or channel.is_closing()):
            channel._send_request(b"exit-status", UInt32(_EXIT_STATUS))
            channel.write_eof()
            channel.close()

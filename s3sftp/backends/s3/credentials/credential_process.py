"""The command of `credential_process`, run within bounds of time and size.

What it prints may be a secret, right or wrong, and is never shown: its standard error goes nowhere, and of
its output it is only said that it is none.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE
from typing import Any, Final, cast

from s3sftp.backends.s3.credentials.errors import CredentialSourceFailed

MOST_BYTES: Final = 1 << 20
"""The longest output: credentials take some thousands."""


class BoundedProcess(asyncio.SubprocessProtocol):
    """As much of a process as botocore asks of one.

    It has a protocol of its own, because a `Process` of asyncio that has been read too little of never ends:
    its `wait` waits for the end of a pipe that is not read any more.
    """

    def __init__(self) -> None:
        self._output = bytearray()
        self._ended = asyncio.Event()  # the process
        self._settled = asyncio.Event()  # the process and its output, or too much of it
        self._running: asyncio.SubprocessTransport

    @classmethod
    async def start(cls, *command: str, **_: Any) -> BoundedProcess:
        """Start it; in the place of `asyncio.create_subprocess_exec`. Raises SourceFailed."""
        loop = asyncio.get_running_loop()
        try:
            # a group of its own, so that what it has started can be ended with it
            _transport, process = await loop.subprocess_exec(
                cls, *command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, start_new_session=True
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a command"
            raise CredentialSourceFailed(f"its command cannot be started: {reason}") from error
        return process

    @property
    def returncode(self) -> int | None:
        return self._running.get_returncode()

    async def communicate(self) -> tuple[bytes, bytes]:
        """Its output, once it has ended well. Raises SourceFailed. Whatever happens, it runs no longer."""
        try:
            await self._settled.wait()
            if len(self._output) > MOST_BYTES:
                raise CredentialSourceFailed(f"its command printed more than {MOST_BYTES >> 20} MiB")
        finally:
            await self._end()
        if self.returncode != 0:
            raise CredentialSourceFailed(
                f"its command ended with status {self.returncode} (run it by hand to see why)"
            )
        return bytes(self._output), b""

    async def _end(self) -> None:
        try:
            if not self._ended.is_set():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._running.get_pid(), signal.SIGKILL)
                await self._ended.wait()
        finally:
            self._running.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._running = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if len(self._output) <= MOST_BYTES:
            self._output += data
        if len(self._output) > MOST_BYTES:
            self._settled.set()

    def process_exited(self) -> None:
        self._ended.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The process has ended and all of its output has come."""
        self._settled.set()

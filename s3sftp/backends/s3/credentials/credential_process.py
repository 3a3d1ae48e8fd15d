"""Runs the command of `credential_process` with bounds on time and size.

Its output may be a secret, valid or not, so it is never shown: standard error is discarded, and an error only
states that the output is invalid.
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
"""Maximum size of the output; credentials take some thousand bytes."""


class BoundedProcess(asyncio.SubprocessProtocol):
    """A process with the methods that botocore calls.

    It is not asyncio's `Process`, because one whose output is not read to the end never finishes: its `wait`
    waits for the end of a pipe that nothing reads.
    """

    def __init__(self) -> None:
        self._output = bytearray()
        self._ended = asyncio.Event()  # set when the process has ended
        self._settled = asyncio.Event()  # set when its output has ended too, or is too large
        self._running: asyncio.SubprocessTransport

    @classmethod
    async def start(cls, *command: str, **_: Any) -> BoundedProcess:
        """Start a process, in place of `asyncio.create_subprocess_exec`.

        Raises CredentialSourceFailed: if the command cannot be started.
        """
        loop = asyncio.get_running_loop()
        try:
            # a process group of its own, so that its children can be ended with it
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
        """Return the output of the process once it has ended. The process no longer runs afterwards, whatever
        happens.

        Raises CredentialSourceFailed: if it prints too much or its status is not 0.
        """
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
        """Note that the process has ended and all its output has arrived."""
        self._settled.set()

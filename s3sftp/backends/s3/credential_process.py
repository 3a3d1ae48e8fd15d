"""The command of `credential_process`, run within bounds of time and size.

What it prints may be a secret, right or wrong, and is never shown: its standard error goes nowhere, and of
its output it is only said that it is none.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from typing import Any, Final, cast

from s3sftp.backends.s3.source_failures import SourceFailed

MOST_BYTES: Final = 1 << 20
"""The longest output: credentials take some thousands."""


class BoundedProcess:
    """As much of a process as botocore asks of one."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, *command: str, **_: Any) -> BoundedProcess:
        """Start it; in the place of `asyncio.create_subprocess_exec`. Raises SourceFailed."""
        try:
            # a group of its own, so that what it has started can be ended with it
            process = await asyncio.create_subprocess_exec(
                *command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, start_new_session=True
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a command"
            raise SourceFailed(f"its command cannot be started: {reason}") from error
        return cls(process)

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    async def communicate(self) -> tuple[bytes, bytes]:
        """Its output, once it has ended well. Raises SourceFailed. Whatever happens, it runs no longer."""
        try:
            output = await self._output()
            status = await self._process.wait()
        finally:
            await self._end()
        if status != 0:
            raise SourceFailed(f"its command ended with status {status} (run it by hand to see why)")
        return output, b""

    async def _output(self) -> bytes:
        stdout = cast("asyncio.StreamReader", self._process.stdout)
        output = bytearray()
        while piece := await stdout.read(1 << 16):
            output += piece
            if len(output) > MOST_BYTES:
                raise SourceFailed(f"its command printed more than {MOST_BYTES >> 20} MiB")
        return bytes(output)

    async def _end(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

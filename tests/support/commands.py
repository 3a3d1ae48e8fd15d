"""Client programs as a test runs them: with a time limit, their output kept, their end certain."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from testbed.processes import program


@dataclass(frozen=True)
class Result:
    """How a program ended."""

    command: tuple[str, ...]
    status: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        """All it said."""
        return (self.out + self.err).decode(errors="replace")

    def ok(self) -> Result:
        """Itself, if the exit status is 0."""
        assert self.status == 0, f"{self.command} ended with {self.status}:\n{self.text}"
        return self

    def failed(self) -> Result:
        """Itself, if the exit status is not 0."""
        assert self.status != 0, f"{self.command} should have failed:\n{self.text}"
        return self


class Running:
    """A program that runs. Killed with its children when the block ends."""

    def __init__(self, command: Sequence[str], process: asyncio.subprocess.Process) -> None:
        self.command = tuple(command)
        self._process = process
        self._communication = asyncio.create_task(process.communicate())

    @classmethod
    async def start(cls, command: Sequence[str], env: Mapping[str, str] | None = None) -> Running:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        return cls(command, process)

    async def __aenter__(self) -> Running:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def kill(self) -> None:
        """SIGKILL it and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._communication

    async def result(self, timeout: float = 60) -> Result:
        """Wait for its end; TimeoutError with what it said so far is a failure of the test."""
        try:
            async with asyncio.timeout(timeout):
                out, err = await asyncio.shield(self._communication)
        except TimeoutError:
            await self.kill()
            out, err = self._communication.result()
            said = (out + err).decode(errors="replace")
            raise AssertionError(f"{self.command} did not end within {timeout} s:\n{said}") from None
        status = self._process.returncode
        assert status is not None
        return Result(self.command, status, out, err)


async def run(command: Sequence[str], env: Mapping[str, str] | None = None, timeout: float = 60) -> Result:
    """Run a program to its end."""
    async with await Running.start(command, env) as running:
        return await running.result(timeout)


def installed(name: str, *, path: str | None = None) -> str:
    """Where a client program is. A missing one skips the test loudly, and fails it in CI."""
    found = path if path and Path(path).exists() else None if path else program(name)
    if found is None:
        message = f"CLIENT MISSING: {path or name} is not installed, so nothing is known about it"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found

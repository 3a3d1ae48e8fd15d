"""Keys that are pressed in a terminal, one by one, without Enter."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic


@contextmanager
def single_keys() -> Iterator[TerminalKeys]:
    """Read keys while the context is open; the terminal is then as it was. Ctrl-C keeps its meaning."""
    descriptor = sys.stdin.fileno()
    if not os.isatty(descriptor):
        yield TerminalKeys(None)
        return
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield TerminalKeys(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class TerminalKeys:
    """The keys of one terminal; none if there is no terminal."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def _wait(self, seconds: float) -> str:
        """The keys that were pressed; empty if none is for so long, or if the terminal is gone."""
        watched = [] if self._descriptor is None else [self._descriptor]
        ready, _, _ = select.select(watched, [], [], max(0.0, seconds))
        if not ready or self._descriptor is None:
            return ""
        pressed = os.read(self._descriptor, 16)
        if not pressed:
            self._descriptor = None
        return pressed.decode("utf-8", "replace")

    def wait_for(self, keys: str, seconds: float) -> str:
        """The first of `keys` that is pressed within so many seconds, or empty. Others are ignored."""
        end = monotonic() + seconds
        while (left := end - monotonic()) > 0:
            if found := [key for key in self._wait(left) if key in keys]:
                return found[0]
        return ""

"""How far long work of a command is, on a terminal alone: on standard error, where nothing is left of it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


def counted(items: Iterable[T], total: int, text: str) -> Iterator[T]:
    """The items, while a bar shows how many of `total` have been taken."""
    if not _is_terminal():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, text, total, console=Console(stderr=True), transient=True)


@contextmanager
def working(text: str) -> Iterator[None]:
    """Say what takes so long, while the context is open."""
    if not _is_terminal():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield


def _is_terminal() -> bool:
    return sys.stderr.isatty()

"""Hands log events to a second reader, whatever the level of the log: the audit log.

    _log.info("login.failed", …) ──┬──► log, if its level is low enough
    observe("user.added", …) ──────┴──► reader of the events with these names

The reader is called where the event occurs, on the event loop and in threads, so it must neither wait nor
raise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

Reader = Callable[[str, Mapping[str, Any]], None]
"""Gets an event's name and fields, which are as they were logged: not escaped yet."""

METHODS = frozenset({"info", "warning", "error", "exception"})
"""A logger's methods whose events may be read: what is logged at level debug is routine."""


class EventTap:
    """At most one reader of the process's events."""

    def __init__(self) -> None:
        self.names: frozenset[str] = frozenset()
        """Events of the log that the reader gets; empty if there is no reader."""
        self._reader: Reader | None = None

    @property
    def is_read(self) -> bool:
        """Whether anybody reads: for events that are only made for a reader."""
        return self._reader is not None

    def install(self, names: Collection[str], reader: Reader) -> None:
        """Hand these events of the log to a reader, and all that are only for a reader."""
        self.names, self._reader = frozenset(names), reader

    def remove(self) -> None:
        self.names, self._reader = frozenset(), None

    def observe(self, event: str, **fields: Any) -> None:
        """An event that is for a reader alone, because the log has less of it, or none."""
        if self._reader is not None:
            self._reader(event, fields)

    def tapped(self, method: str, write: Callable[..., Any]) -> Callable[..., Any]:
        """The method of a logger, such that the reader gets its events too."""

        def tapped(event: str, *words: Any, **fields: Any) -> Any:
            if event in self.names:
                self.observe(event, **fields)
            return write(event, *words, **fields)

        return tapped if method in METHODS else write


tap = EventTap()
"""That of this process."""

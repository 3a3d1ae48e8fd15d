"""Hands log events to other readers, whatever the level of the log: the audit log, and the admin API.

    _log.info("login.failed", …) ──┬──► log, if its level is low enough
    observe("user.added", …) ──────┼──► reader of the events with these names
                                   └──► listeners to a few events of the log

They are called where the event occurs, on the event loop and in threads, so they must neither wait nor
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
    """At most one reader of the process's events, and listeners to some of the log's."""

    def __init__(self) -> None:
        self.names: frozenset[str] = frozenset()
        """Events of the log that anybody gets; empty if nobody reads."""
        self._reader: Reader | None = None
        self._read: frozenset[str] = frozenset()
        self._listeners: list[tuple[frozenset[str], Reader]] = []

    @property
    def is_read(self) -> bool:
        """Whether anybody reads: for events that are only made for a reader."""
        return self._reader is not None

    def install(self, names: Collection[str], reader: Reader) -> None:
        """Hand these events of the log to a reader, and all that are only for a reader."""
        self._read, self._reader = frozenset(names), reader
        self._add_up()

    def remove(self) -> None:
        """Hand the reader nothing any more."""
        self._read, self._reader = frozenset(), None
        self._add_up()

    def listen(self, names: Collection[str], listener: Reader) -> Callable[[], None]:
        """Hand these events of the log to a listener too. Returns what ends that."""
        entry = (frozenset(names), listener)
        self._listeners = [*self._listeners, entry]
        self._add_up()

        def end() -> None:
            self._listeners = [each for each in self._listeners if each is not entry]
            self._add_up()

        return end

    def _add_up(self) -> None:
        self.names = self._read.union(*(names for names, _ in self._listeners))

    def observe(self, event: str, **fields: Any) -> None:
        """An event that is for a reader alone, because the log has less of it, or none."""
        if self._reader is not None:
            self._reader(event, fields)

    def tapped(self, method: str, write: Callable[..., Any]) -> Callable[..., Any]:
        """The method of a logger, such that the reader gets its events too."""

        def tapped(event: str, *words: Any, **fields: Any) -> Any:
            if event in self._read:
                self.observe(event, **fields)
            for names, listener in self._listeners:
                if event in names:
                    listener(event, fields)
            return write(event, *words, **fields)

        return tapped if method in METHODS else write


tap = EventTap()
"""That of this process."""

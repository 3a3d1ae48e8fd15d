"""Events of the server's log, found in lines that other programs hand on, and chosen. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

LEVELS = ("debug", "info", "warning", "error", "critical")
Event = Mapping[str, Any]


def event_of(line: str) -> Event | None:
    """The event in a line; None if it has none. journald, Docker and Kubernetes may have put something before
    it."""
    start = line.find("{")
    if start < 0:
        return None
    try:
        found = json.loads(line[start:])
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and "event" in found else None


@dataclass(frozen=True)
class LogFilter:
    """Which events are wanted: those that everything given here is true of."""

    users: Sequence[str] = ()
    """One of them."""
    session: str = ""
    """A session, or a connection with all its sessions."""
    path: str = ""
    """A pattern of the path or the target, with `*` and `?`; or a part of it if it has neither."""
    events: Sequence[str] = ()
    """One of these names, with `*` and `?`."""
    level: str = "debug"
    """This level or a more severe one."""
    trace: str = ""

    @property
    def wants_all(self) -> bool:
        return self == LogFilter()

    def wants(self, event: Event) -> bool:
        return (
            _severity(event) >= LEVELS.index(self.level)
            and (not self.users or event.get("user") in self.users)
            and (not self.session or self._is_of_session(event))
            and (not self.path or any(self._matches(str(event.get(each, ""))) for each in ("path", "target")))
            and (not self.events or any(fnmatchcase(str(event["event"]), each) for each in self.events))
            and (not self.trace or event.get("trace_id") == self.trace)
        )

    def _is_of_session(self, event: Event) -> bool:
        """Whether it is of the session or of its connection: what happened to the connection explains it."""
        connection = self.session.partition(".")[0]
        session = str(event.get("session", ""))
        if session:
            return session == self.session or (
                connection == self.session and session.partition(".")[0] == connection
            )
        return event.get("connection") == connection

    def _matches(self, path: str) -> bool:
        if set("*?[") & set(self.path):
            return fnmatchcase(path, self.path)
        return self.path in path


def _severity(event: Event) -> int:
    level = event.get("level")
    return LEVELS.index(level) if level in LEVELS else LEVELS.index("info")

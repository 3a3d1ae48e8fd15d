"""Decides which sinks receive an event, by its kind and its path. Pure.

A sink that does not see a name, but sees the one that a file gets by a rename, learns of the file at that
moment: for it, the rename is the commit. So partners may upload under a temporary name, and each file is
announced once, under its final one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from s3sftp.config.name_patterns import matches_path
from s3sftp.events.cloud_event import EventKind

SinkNames = tuple[str, ...]
_NOBODY: SinkNames = ()


@dataclass(frozen=True, slots=True)
class SinkRule:
    """What one sink receives, and how."""

    name: str
    kinds: frozenset[EventKind]
    paths: tuple[str, ...] = ()
    """Patterns of paths; none means all."""
    synchronous: bool = False
    """Whether a client's answer waits until the sink has accepted the event."""
    time_limit: float = 10.0
    """Seconds that one attempt may take."""
    type: str = "other"
    """The type of the sink, for metrics."""


@dataclass(frozen=True, slots=True)
class RenameRoute:
    """Who learns of a rename, and as what."""

    renamed: SinkNames = _NOBODY
    committed: SinkNames = _NOBODY
    """Sinks for which the file comes into being."""


class Routes:
    """The rules of all sinks."""

    def __init__(self, rules: Iterable[SinkRule], temporary_names: Collection[str] = ()) -> None:
        """`temporary_names`: patterns of names that no sink sees."""
        self.rules = {rule.name: rule for rule in rules}
        self._temporary = tuple(temporary_names)
        self._kinds = frozenset(kind for rule in self.rules.values() for kind in rule.kinds)

    def wants(self, kind: EventKind) -> bool:
        """Whether any sink receives events of this kind, of whatever path."""
        return kind in self._kinds

    def of(self, kind: EventKind, path: str | None) -> SinkNames:
        """The sinks that receive an event about a path; None: an event that has no path."""
        if kind not in self._kinds:
            return _NOBODY
        return tuple(
            rule.name
            for rule in self.rules.values()
            if kind in rule.kinds and (path is None or self._sees(rule, path))
        )

    def of_rename(self, source: str, target: str, *, is_dir: bool) -> RenameRoute:
        """The sinks that learn of a rename. One that is told of a new file is not told of the rename too."""
        renamed_kind = EventKind.DIRECTORY_RENAMED if is_dir else EventKind.FILE_RENAMED
        renamed, committed = [], []
        for rule in self.rules.values():
            sees_source, sees_target = self._sees(rule, source), self._sees(rule, target)
            is_new = not is_dir and sees_target and not sees_source
            if is_new and EventKind.UPLOAD_COMMITTED in rule.kinds:
                committed.append(rule.name)
            elif (sees_source or sees_target) and renamed_kind in rule.kinds:
                renamed.append(rule.name)
        return RenameRoute(tuple(renamed), tuple(committed))

    def synchronous(self, names: Collection[str]) -> SinkNames:
        """Those of the sinks for which a client's answer waits."""
        return tuple(name for name in names if name in self.rules and self.rules[name].synchronous)

    def _sees(self, rule: SinkRule, path: str) -> bool:
        if any(matches_path(pattern, path) for pattern in self._temporary):
            return False
        return not rule.paths or any(matches_path(pattern, path) for pattern in rule.paths)

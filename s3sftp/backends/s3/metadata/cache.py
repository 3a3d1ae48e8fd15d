"""Caches what a session has just listed or changed, so that the STATs that follow cost no request.

A client that lists a directory or stores a file asks for the same names a moment later. So the session keeps
the metadata from its listings and changes for `ttl` seconds. The absence of a name is never cached, and no
reply to a STAT answers the next one, but for directories in which the session has just changed something:
rclone looks at the directory twice for each file that it sends, and holds up all its transfers meanwhile. It
does so on two dozen connections in turn, so what one session has looked up there answers all of the user's
sessions that have changed something in that directory. For the same reason all of a user's sessions know what
one of them has stored: rclone sends a file, its time and its rename on three connections.

Replies to HEAD and GET are cached too, but answer no client: they only make requests cheaper that the store
accepts on the condition that the object is still that version.

Any change by this process, in whatever session, invalidates the name and the directories above it that may
have disappeared with it. Changes are numbered: an entry is valid only if its name has not changed since the
latest number at the moment when the store was asked. A reply that a change overtakes is therefore never
cached, however late it arrives.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from s3sftp.backends.contract import FileInfo, Session
from s3sftp.backends.s3.metadata.created_names import CreatedKind, CreatedNames
from s3sftp.backends.s3.metadata.equivalent_versions import EquivalentVersions
from s3sftp.backends.s3.metadata.version_cache import VersionCache

_CHANGES_KEPT = 20_000
"""Maximum recent changes whose names are known. Any other name may have been changed before them."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

Head = Mapping[str, Any]
"""A reply to HeadObject, or as much of one as a request of our own determines."""


class ReadPoint(NamedTuple):
    """The moment before the store is asked."""

    changes: int
    """The number of the latest change at that moment."""
    time: float
    """The start of the entry's lifetime, however long the reply took."""


@dataclass(frozen=True, slots=True)
class CachedMetadata:
    """What a session knows about an existing key."""

    info: FileInfo
    read_point: ReadPoint
    answers: bool = True
    """Whether it may answer a STAT: the session has listed or changed the name, not only looked it up."""
    head: Head | None = None
    """The complete reply to a HEAD, if it is known."""
    time_unknown: bool = False
    """Whether the time is unknown: of a directory in a listing, or of what this process wrote."""


class MetadataCache:
    """Metadata by session and key, each valid for `ttl` seconds.

    Keys have no slash at the end, not even a directory's.
    """

    def __init__(
        self,
        ttl: float,
        entries: int,
        clock: Callable[[], float] = time.monotonic,
        made: CreatedNames | None = None,
        versions: VersionCache | None = None,
    ) -> None:
        self._ttl = ttl
        self._max_entries = entries if ttl > 0 else 0
        self._clock = clock
        self.versions = versions or VersionCache()
        self.rewritten = EquivalentVersions()
        self._made = made or CreatedNames()
        self._entries: OrderedDict[tuple[str, str], CachedMetadata] = OrderedDict()
        self._directories: OrderedDict[tuple[str, str], CachedMetadata] = OrderedDict()
        """By user and key: the directories that one of the user's sessions has looked up."""
        self._stored: OrderedDict[tuple[str, str], CachedMetadata] = OrderedDict()
        """By user and key: the files that one of the user's sessions has stored or changed."""
        self._changed_in: OrderedDict[tuple[str, str], float] = OrderedDict()
        """When each session last changed something in each directory, the latest last."""
        self._changes = 0
        self._changed: OrderedDict[str, int] = OrderedDict()
        """The number of each key's latest change, the latest last."""
        self._all_changed = 0
        """The number of the latest change that any other key may have had."""
        self._under_way: Counter[str] = Counter()
        """Changes of each key that have begun and not ended."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str, session: Session) -> CachedMetadata | None:
        """Return what the session knows, or else what another session of the user has stored.

        Unless it `answers`, the store must confirm it before a client sees it.
        """
        own = self._valid(self._entries, session.session_id, key)
        if own is not None:
            return own
        stored = self._valid(self._stored, session.user, key)
        return None if stored is None else replace(stored, answers=False)

    def answer(self, key: str, session: Session) -> CachedMetadata | None:
        """Return what STAT may be answered by.

        Within the last `ttl` seconds the session has listed or changed the name, or it has changed something
        in the directory and a session of the user has looked the directory up.
        """
        cached = self.get(key, session)
        if cached is not None and cached.answers:
            return cached
        return self._looked_up(key, session) if self._has_changed_in(key, session) else None

    def is_known(self, key: str, session: Session) -> bool:
        """Whether a later STAT may be answered from memory, unless the name is forgotten."""
        return self.get(key, session) is not None or self._looked_up(key, session) is not None

    def seems_directory(self, key: str, session: Session) -> bool:
        """Whether the session, or another one of the user, has seen a directory of that name, or the session
        has changed something in it, a moment ago."""
        cached = self.get(key, session) or self._looked_up(key, session)
        return cached.info.is_dir if cached is not None else self._has_changed_in(key, session)

    def read_point(self) -> ReadPoint:
        """Return the current read point.

        Take it before asking the store, and pass it to `record` with the reply.
        """
        return ReadPoint(self._changes, self._clock())

    def record(
        self,
        key: str,
        session: Session,
        info: FileInfo,
        read_point: ReadPoint,
        *,
        answers: bool,
        head: Head | None = None,
        time_unknown: bool = False,
    ) -> bool:
        """Cache what the store replied; return whether it was cached.

        It is not if this process has changed the name since, or if the session has an entry from a later read
        point.
        """
        known = self._entries.get((session.session_id, key))
        if self._changed_at(key) > read_point.changes or (
            known is not None and known.read_point.time > read_point.time
        ):
            return False
        cached = CachedMetadata(info, read_point, answers, head, time_unknown)
        self._put_entry(key, session, cached)
        self._share(key, session, cached)
        self._contradict_stored(key, session, info)
        return True

    def forget(self, key: str) -> None:
        """Invalidate a name for all sessions, because the store has just contradicted what is cached."""
        self._note_change(key)

    @contextmanager
    def changing(
        self, key: str, session: Session, *, tree: bool = False, beside: str = ""
    ) -> Iterator[PendingChange]:
        """Hold this around a request that changes a key, or with `tree` all keys below it.

        Replies to anything that was asked before the end of the change are not cached, whether it succeeds or
        not. The session then caches what the change left (`PendingChange.left`). `beside` is a key that
        exists in any case, and so do the directories above it.

        If changes of one key overlap, their order is unknown and nothing is cached.
        """
        change = PendingChange()
        is_alone = key not in self._under_way
        self._under_way[key] += 1
        begun = self._note_change(key, tree=tree)
        try:
            yield change
        finally:
            is_alone = is_alone and self._changed_at(key) == begun
            self._under_way[key] -= 1
            if not self._under_way[key]:
                del self._under_way[key]
            read_point = ReadPoint(self._note_change(key, tree=tree), self._clock())
            standing = set(_above(key if change.there else beside))
            for directory in _above(key):
                if directory not in standing:
                    self._note_change(directory)
            self.versions.forget_directory(key, tree=tree)
            self._note_made(key, change)
            if change.info is not None and is_alone:
                known = CachedMetadata(
                    change.info, read_point, head=change.head, time_unknown=change.time_unknown
                )
                self._put_entry(key, session, known)
                if not known.info.is_dir:
                    self._put(self._stored, (session.user, key), known)
                self._note_changed_in(standing, session)

    def _valid(
        self, entries: OrderedDict[tuple[str, str], CachedMetadata], whose: str, key: str
    ) -> CachedMetadata | None:
        cached = entries.get((whose, key))
        if cached is None:
            return None
        read_point = cached.read_point
        if self._changed_at(key) > read_point.changes or read_point.time + self._ttl <= self._clock():
            del entries[whose, key]
            return None
        return cached

    def _looked_up(self, key: str, session: Session) -> CachedMetadata | None:
        return self._valid(self._directories, session.user, key)

    def _share(self, key: str, session: Session, cached: CachedMetadata) -> None:
        """Let the user's other sessions know a directory that was looked up, or that it is a file now."""
        known = self._looked_up(key, session)
        if known is not None and known.read_point.time > cached.read_point.time:
            return
        if not cached.info.is_dir:
            self._directories.pop((session.user, key), None)
        elif not cached.answers:
            self._put(self._directories, (session.user, key), cached)

    def _contradict_stored(self, key: str, session: Session, info: FileInfo) -> None:
        """Forget what a session of the user has stored, if the store has shown something else since."""
        stored = self._valid(self._stored, session.user, key)
        if stored is not None and stored.info.version != info.version:
            del self._stored[session.user, key]

    def _has_changed_in(self, directory: str, session: Session) -> bool:
        changed_at = self._changed_in.get((session.session_id, directory))
        return changed_at is not None and changed_at + self._ttl > self._clock()

    def _changed_at(self, key: str) -> int:
        return max(self._changed.get(key, 0), self._all_changed)

    def _note_change(self, key: str, *, tree: bool = False) -> int:
        self._changes += 1
        self._changed[key] = self._changes
        self._changed.move_to_end(key)
        if tree:
            self._all_changed = self._changes
        while len(self._changed) > _CHANGES_KEPT:
            _, number = self._changed.popitem(last=False)
            self._all_changed = max(self._all_changed, number)
        return self._changes

    def _note_made(self, key: str, change: PendingChange) -> None:
        """Remember the name beyond the lifetime of its entry (`created_names`)."""
        if not change.there:
            return
        is_dir = change.info is not None and change.info.is_dir
        self._made.note(key, CreatedKind.DIRECTORY if is_dir else CreatedKind.FILE)
        self._made.note_below(key)

    def _put_entry(self, key: str, session: Session, cached: CachedMetadata) -> None:
        self._put(self._entries, (session.session_id, key), cached)

    def _note_changed_in(self, directories: Iterable[str], session: Session) -> None:
        now = self._clock()
        for directory in directories:
            self._put(self._changed_in, (session.session_id, directory), now)

    def _put(self, entries: OrderedDict[_Key, _Value], key: _Key, value: _Value) -> None:
        """Add an entry as the latest one, and drop the oldest ones that are too many."""
        entries[key] = value
        entries.move_to_end(key)
        while len(entries) > self._max_entries:
            entries.popitem(last=False)


class PendingChange:
    """What a change has left, once that is known."""

    __slots__ = ("head", "info", "there", "time_unknown")

    def __init__(self) -> None:
        self.there = False
        self.info: FileInfo | None = None
        self.head: Head | None = None
        self.time_unknown = False

    def left(self, info: FileInfo, head: Head | None = None, *, time_unknown: bool = False) -> None:
        """Record what STAT would answer now. Pass `head` if the complete reply to a HEAD is known, and
        `time_unknown` if STAT must ask the store for the time."""
        self.there = True
        self.info = info
        self.head = head
        self.time_unknown = time_unknown

    def left_something(self) -> None:
        """Record that the key exists, although what STAT would answer is unknown."""
        self.there = True


def _above(key: str) -> Iterator[str]:
    """Yield the keys of the directories above."""
    position = key.rfind("/")
    while position > 0:
        key = key[:position]
        yield key
        position = key.rfind("/")

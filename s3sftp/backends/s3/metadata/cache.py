"""What a session has just listed or changed, so that the STATs that follow it cost nothing.

A client that lists a directory, or stores a file, asks for the same names again in the next moment. So what a
listing told, and what a change left, is kept for the session that asked, for `ttl` seconds. That a name is
missing is never kept, nor does any answer to STAT answer the next one.

What HEAD and GET told is kept too, but answers nobody: it only makes requests cheaper that the store accepts
on the condition that the object is still that version.

Any change by this process, of whatever session, ends what is believed of the name, and of the directories
above that may have gone with it. Each change has a number: a fact holds only if its name has not been changed
since the number that was the latest when the store was asked. So an answer that is overtaken by a change on
its way is never believed, however late it arrives.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from s3sftp.backends.contract import FileInfo, Session
from s3sftp.backends.s3.metadata.created_names import CreatedKind, CreatedNames
from s3sftp.backends.s3.metadata.equivalent_versions import EquivalentVersions
from s3sftp.backends.s3.metadata.version_cache import VersionCache

_CHANGES_KEPT = 20_000
"""The latest changes whose names are known; for a name that was changed before these, any may have been."""

Head = Mapping[str, Any]
"""An answer to HeadObject, or as much of one as a request of our own determines."""


@dataclass(frozen=True, slots=True)
class ReadPoint:
    """The moment before the store is asked."""

    changes: int
    """The number of the latest change by then."""
    time: float
    """What is learned is believed from here on, however long the answer took."""


@dataclass(frozen=True, slots=True)
class CachedMetadata:
    """What a session knows of a key that something is at."""

    info: FileInfo
    moment: ReadPoint
    answers: bool = True
    """Whether STAT may say so: it was listed or changed, not only looked at."""
    head: Head | None = None
    """All that a HEAD would tell, where that is known."""
    time_unknown: bool = False
    """The store has not told the time: of a directory in a listing, or of what this process wrote."""


class MetadataCache:
    """Facts by session and key (no slash at the end, also for a directory), for `ttl` seconds each."""

    def __init__(
        self,
        ttl: float,
        entries: int,
        clock: Callable[[], float] = time.monotonic,
        made: CreatedNames | None = None,
        versions: VersionCache | None = None,
    ) -> None:
        self._ttl = ttl
        self._entries = entries if ttl > 0 else 0
        self._clock = clock
        self.versions = versions or VersionCache()
        self.rewritten = EquivalentVersions()
        self._made = made or CreatedNames()
        self._facts: OrderedDict[tuple[str, str], CachedMetadata] = OrderedDict()
        self._changes = 0
        self._changed: OrderedDict[str, int] = OrderedDict()
        """The number of each key's latest change, the latest at the end."""
        self._all_changed = 0
        """The same for all other keys."""
        self._under_way: Counter[str] = Counter()
        """How many changes of a key have begun and not ended."""

    def __len__(self) -> int:
        return len(self._facts)

    def get(self, key: str, session: Session) -> CachedMetadata | None:
        """What the session knows; whatever is not to be said to a client must be confirmed by the store."""
        fact = self._facts.get((session.session_id, key))
        if fact is None:
            return None
        moment = fact.moment
        if self._changed_at(key) > moment.changes or moment.time + self._ttl <= self._clock():
            del self._facts[session.session_id, key]
            return None
        return fact

    def moment(self) -> ReadPoint:
        """Take one before asking the store; `learn` wants it back with the answer."""
        return ReadPoint(self._changes, self._clock())

    def learn(
        self,
        key: str,
        session: Session,
        info: FileInfo,
        moment: ReadPoint,
        *,
        answers: bool,
        head: Head | None = None,
        time_unknown: bool = False,
    ) -> bool:
        """Keep what the store said, unless this process has changed it since, or the session has asked again
        and been told sooner; returns whether it did."""
        known = self._facts.get((session.session_id, key))
        if self._changed_at(key) > moment.changes or (known is not None and known.moment.time > moment.time):
            return False
        self._keep(key, session, CachedMetadata(info, moment, answers, head, time_unknown))
        return True

    def forget(self, key: str) -> None:
        """The store has just contradicted what may be believed of it: no session believes it any more."""
        self._note_change(key)

    @contextmanager
    def changing(
        self, key: str, session: Session, *, tree: bool = False, beside: str = ""
    ) -> Iterator[PendingChange]:
        """Around a request that changes a key (or all below it): from its begin to its end, and of what was
        asked before its end, nothing is believed, however it went. The session then knows what the change
        left (`PendingChange.left`). `beside` is a key that is there in any case, so the directories above
        it are.

        Of changes of one key at once nobody knows which was the last: then nothing is.
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
            moment = ReadPoint(self._note_change(key, tree=tree), self._clock())
            standing = set(_above(key if change.there else beside))
            for directory in _above(key):
                if directory not in standing:
                    self._note_change(directory)
            self.versions.forget_directory(key, tree=tree)
            self._note_made(key, change)
            if change.info is not None and is_alone:
                known = CachedMetadata(
                    change.info, moment, head=change.head, time_unknown=change.time_unknown
                )
                self._keep(key, session, known)

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
        """Remember the name beyond its fact's time (`made_names`)."""
        if not change.there:
            return
        is_dir = change.info is not None and change.info.is_dir
        self._made.note(key, CreatedKind.DIRECTORY if is_dir else CreatedKind.FILE)
        self._made.note_below(key)

    def _keep(self, key: str, session: Session, fact: CachedMetadata) -> None:
        if not self._entries:
            return
        self._facts[session.session_id, key] = fact
        self._facts.move_to_end((session.session_id, key))
        while len(self._facts) > self._entries:
            self._facts.popitem(last=False)


class PendingChange:
    """What a change has left, once that is known."""

    __slots__ = ("head", "info", "there", "time_unknown")

    def __init__(self) -> None:
        self.there = False
        self.info: FileInfo | None = None
        self.head: Head | None = None
        self.time_unknown = False

    def left(self, info: FileInfo, head: Head | None = None, *, time_unknown: bool = False) -> None:
        """What STAT would say now; `head` if all is known that a HEAD would tell; `time_unknown` if STAT
        has to ask for the time."""
        self.there = True
        self.info = info
        self.head = head
        self.time_unknown = time_unknown

    def left_something(self) -> None:
        """The key is there; what exactly STAT would say is not known."""
        self.there = True


def _above(key: str) -> Iterator[str]:
    """The keys of the directories above."""
    position = key.rfind("/")
    while position > 0:
        key = key[:position]
        yield key
        position = key.rfind("/")

"""What the store said about names lately, so that it is not asked twice.

A client stats, lists and stats again; an hour-old answer would be wrong, one of two seconds ago saves most
requests. This process's own changes are known at once: they replace or drop facts, for the name and for the
directories above it. A fact that was asked for before such a change, and arrives after it, is not kept.
Changes of the server's other workers are seen in a table of generations (`generations`): a fact is believed
as long as they have changed nothing there since before the store was asked.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from s3sftp.backends.contract import FileInfo
from s3sftp.backends.s3.generations import Generations
from s3sftp.backends.s3.made_names import Made, MadeNames
from s3sftp.backends.s3.rewritten import Rewritten
from s3sftp.backends.s3.versions import Versions

_STRIPES = 4096

Head = Mapping[str, Any]
"""An answer to HeadObject, or as much of one as a request of our own determines."""


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known of a key; `info` None: nothing is there."""

    info: FileInfo | None
    since: float
    generation: int = 0
    """Of the key at the other workers, from before the store was asked."""
    inside: int = 0
    """The same of what is below it, which makes a directory of a name where there was nothing."""
    head: Head | None = None
    """All that a HEAD would tell, where this process has written the object itself."""
    time_unknown: bool = False
    """The store has not told the time: of a directory in a listing, or of what this process wrote."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """The moment before the store is asked: what had been changed by then."""

    changes: int
    scope: str
    """The key that is asked about, or the directory whose names are."""
    generation: int
    inside: int
    moment: float
    """What is learned is believed from here on, however long the answer took."""


class Facts:
    """Facts by key (no slash at the end, also for a directory), for `ttl` seconds each."""

    def __init__(
        self,
        ttl: float,
        entries: int,
        clock: Callable[[], float] = time.monotonic,
        generations: Generations | None = None,
        made: MadeNames | None = None,
        versions: Versions | None = None,
    ) -> None:
        self._ttl = ttl
        self._entries = entries if ttl > 0 else 0
        self._clock = clock
        self._others = generations or Generations()
        self.versions = versions or Versions()
        self.rewritten = Rewritten()
        self._made = made or MadeNames()
        self._facts: OrderedDict[str, Fact] = OrderedDict()
        self._changes = 0
        self._changed_at = [0] * _STRIPES
        """The count of changes when a key of this stripe changed last; a stripe is a key's hash."""
        self._came_at = [0] * _STRIPES
        """The same for when something came below it: a directory stays one, nothing becomes one."""
        self._tree_changed_at = 0
        self._under_way: dict[str, set[Change]] = {}

    def __len__(self) -> int:
        return len(self._facts)

    def get(self, key: str) -> Fact | None:
        fact = self._facts.get(key)
        if fact is None:
            return None
        overtaken = fact.generation != self._others.of(key) or (
            fact.info is None and fact.inside != self._others.inside(key)
        )
        if overtaken or fact.since + self._ttl <= self._clock():
            del self._facts[key]
            return None
        return fact

    def ticket(self, scope: str) -> Ticket:
        """Take one before asking the store about a key or, by its name, about a directory's names; `learn`
        wants it back with the answer."""
        return Ticket(self._changes, scope, self._others.of(scope), self._others.inside(scope), self._clock())

    def learn(self, key: str, info: FileInfo | None, ticket: Ticket, *, time_unknown: bool = False) -> bool:
        """Keep what the store said of the scope or a name in it, unless this process has changed it since;
        returns whether it has not."""
        stripe = _stripe(key)
        changed_at = max(self._changed_at[stripe], self._tree_changed_at)
        if max(changed_at, self._came_at[stripe] if info is None else 0) > ticket.changes:
            return False
        if ticket.scope == key:
            if info is not None or self._others.inside(key) == ticket.inside:
                self._keep(key, Fact(info, ticket.moment, ticket.generation, ticket.inside))
            return True
        generation, inside = self._others.of(key), self._others.inside(key)
        # asked for after the key's: a change is told from the root down
        if self._others.inside(ticket.scope) == ticket.inside:
            self._keep(key, Fact(info, ticket.moment, generation, inside, time_unknown=time_unknown))
        return True

    def forget(self, key: str) -> None:
        """Drop what the store has just contradicted."""
        self._facts.pop(key, None)

    @contextmanager
    def changing(self, key: str, *, tree: bool = False, beside: str = "") -> Iterator[Change]:
        """Around a request that changes a key (or all below it): afterwards old facts are gone, however it
        went. What it left is told with `Change.left`. `beside` is a key that is there in any case, so the
        directories above it are."""
        change = self._begun(key)
        generation, inside = self._others.of(key), self._others.inside(key)
        self._tell_others(key, set(_above(key)), tree=tree)
        try:
            yield change
        finally:
            standing = set(_above(key if change.there else beside))
            self._forget(key, standing, tree=tree)
            self._tell_others(key, standing, tree=tree)
            self._ended(key, change)
            self._note_made(key, change)
            if change.known and change.alone:
                since, unknown = self._clock(), change.time_unknown
                self._keep(key, Fact(change.info, since, generation, inside, change.head, unknown))

    def _note_made(self, key: str, change: Change) -> None:
        """Remember the name beyond its fact's time (`made_names`)."""
        if not change.there:
            return
        is_dir = change.info is not None and change.info.is_dir
        self._made.note(key, Made.DIRECTORY if is_dir else Made.FILE)
        self._made.note_below(key)

    def _begun(self, key: str) -> Change:
        """Of changes of one key at once nobody knows which was the last: the store must be asked."""
        change, others = Change(), self._under_way.setdefault(key, set())
        change.alone = not others
        for other in others:
            other.alone = False
        others.add(change)
        return change

    def _ended(self, key: str, change: Change) -> None:
        self._under_way[key].discard(change)
        if not self._under_way[key]:
            del self._under_way[key]

    def _tell_others(self, key: str, standing: set[str], *, tree: bool) -> None:
        """Before the request, as an answer that is on its way may be older; and after it, before anybody
        hears of its success."""
        self._others.changed(key, ["", *reversed([*_above(key)])], {"", *standing}, tree=tree)

    def _forget(self, key: str, standing: set[str], *, tree: bool) -> None:
        """Drop what may be wrong now. The directories `standing` are known to be."""
        self._changes += 1
        self.versions.forget_directory(key, tree=tree)
        if tree:
            self._tree_changed_at = self._changes
            for below in [known for known in self._facts if known.startswith(key + "/")]:
                del self._facts[below]
        for name in (key, *_above(key)):
            changed = self._came_at if name in standing and name != key else self._changed_at
            changed[_stripe(name)] = self._changes
            fact = self._facts.get(name)
            if fact is None:
                continue
            if name == key:
                del self._facts[name]
            elif fact.info is None or fact.info.is_dir:
                # a file above does not change; a directory above may come or go with what is below it
                if name in standing:
                    info = fact.info or FileInfo.directory()
                    self._facts[name] = replace(fact, info=info)
                else:
                    del self._facts[name]

    def _keep(self, key: str, fact: Fact) -> None:
        if not self._entries:
            return
        self._facts[key] = fact
        self._facts.move_to_end(key)
        while len(self._facts) > self._entries:
            self._facts.popitem(last=False)


class Change:
    """What a change has left, once that is known."""

    __slots__ = ("alone", "head", "info", "known", "there", "time_unknown")

    def __init__(self) -> None:
        self.alone = True
        self.known = False
        self.there = False
        self.info: FileInfo | None = None
        self.head: Head | None = None
        self.time_unknown = False

    def left(self, info: FileInfo | None, head: Head | None = None, *, time_unknown: bool = False) -> None:
        """What STAT would say now; `head` if all is known that a HEAD would tell; `time_unknown` if STAT
        has to ask for the time."""
        self.known = True
        self.time_unknown = time_unknown
        self.info = info
        self.head = head
        self.there = info is not None

    def left_something(self) -> None:
        """The key is there; what exactly STAT would say is not known."""
        self.there = True


def _stripe(key: str) -> int:
    return hash(key) % _STRIPES


def _above(key: str) -> Iterator[str]:
    """The keys of the directories above."""
    position = key.rfind("/")
    while position > 0:
        key = key[:position]
        yield key
        position = key.rfind("/")

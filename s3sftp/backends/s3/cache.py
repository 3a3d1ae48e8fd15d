"""What the store said about names lately, so that it is not asked twice.

A client stats, lists and stats again; an hour-old answer would be wrong, one of two seconds ago saves most
requests. This process's own changes are known at once: they replace or drop facts, for the name and for the
directories above it. A fact that was asked for before such a change, and arrives after it, is not kept.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from s3sftp.backends.contract import FileInfo

_STRIPES = 4096


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known of a key; `info` None: nothing is there."""

    info: FileInfo | None
    until: float


class Facts:
    """Facts by key (no slash at the end, also for a directory), for `ttl` seconds each."""

    def __init__(self, ttl: float, entries: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl = ttl
        self._entries = entries if ttl > 0 else 0
        self._clock = clock
        self._facts: OrderedDict[str, Fact] = OrderedDict()
        self._changes = 0
        self._changed_at = [0] * _STRIPES
        """The count of changes when a key of this stripe changed last; a stripe is a key's hash."""
        self._tree_changed_at = 0

    def __len__(self) -> int:
        return len(self._facts)

    def get(self, key: str) -> Fact | None:
        fact = self._facts.get(key)
        if fact is None:
            return None
        if fact.until <= self._clock():
            del self._facts[key]
            return None
        return fact

    def ticket(self) -> int:
        """Take one before asking the store; `learn` wants it back with the answer."""
        return self._changes

    def learn(self, key: str, info: FileInfo | None, ticket: int) -> None:
        """Keep what the store said, unless this process changed the name since the ticket was taken."""
        if max(self._changed_at[_stripe(key)], self._tree_changed_at) <= ticket:
            self._keep(key, info)

    def forget(self, key: str) -> None:
        """Drop what the store has just contradicted."""
        self._facts.pop(key, None)

    @contextmanager
    def changing(self, key: str, *, tree: bool = False, beside: str = "") -> Iterator[Change]:
        """Around a request that changes a key (or all below it): afterwards old facts are gone, however it
        went. What it left is told with `Change.left`. `beside` is a key that is there in any case, so the
        directories above it are."""
        change = Change()
        try:
            yield change
        finally:
            self._forget(key, tree=tree, there=key if change.there else beside)
            if change.known:
                self._keep(key, change.info)

    def _forget(self, key: str, *, tree: bool, there: str) -> None:
        """Drop what may be wrong now. Directories above `there` are known to be."""
        standing = set(_above(there))
        self._changes += 1
        if tree:
            self._tree_changed_at = self._changes
            for below in [known for known in self._facts if known.startswith(key + "/")]:
                del self._facts[below]
        for name in (key, *_above(key)):
            self._changed_at[_stripe(name)] = self._changes
            fact = self._facts.get(name)
            if fact is None:
                continue
            if name == key:
                del self._facts[name]
            elif fact.info is None or fact.info.is_dir:
                # a file above does not change; a directory above may come or go with what is below it
                if name in standing:
                    self._facts[name] = Fact(FileInfo.directory(), fact.until)
                else:
                    del self._facts[name]

    def _keep(self, key: str, info: FileInfo | None) -> None:
        if not self._entries:
            return
        self._facts[key] = Fact(info, self._clock() + self._ttl)
        self._facts.move_to_end(key)
        while len(self._facts) > self._entries:
            self._facts.popitem(last=False)


class Change:
    """What a change has left, once that is known."""

    __slots__ = ("info", "known", "there")

    def __init__(self) -> None:
        self.known = False
        self.there = False
        self.info: FileInfo | None = None

    def left(self, info: FileInfo | None) -> None:
        """What STAT would say now."""
        self.known = True
        self.info = info
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

"""Decides what became of a change whose process has ended, from what is stored now. Pure.

    commit   the file carries the mark of the write      it happened
             an older file is there                      it did not happen
             another file, or none                       unknown: it may have been replaced or removed since
    remove   nothing is there                            it happened
             the file that was there, or an older one    it did not happen
             a newer file                                unknown
    rename   the target is newer than the change, and    it happened: at least, the target is published
             the source is gone or is the same file
             there is no such target, but the source     it did not happen
             anything else                               unknown

Times are those of the store alone, in whole seconds, as replies to HEAD report them. If the file is in
another store than the entry, their clocks may differ: what depends on that difference is unknown.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from s3sftp.events.outbox.entries import Check


class StorageGone(Exception):
    """The configuration does not have the storage of a place any more: nobody can look at it."""


class Verdict(enum.Enum):
    """What became of a change."""

    HAPPENED = "confirmed"
    UNKNOWN = "unknown"
    NOT = "not"


@dataclass(frozen=True, slots=True)
class Found:
    """What is stored at a place."""

    mark: str | None = None
    version: str | None = None
    size: int | None = None
    modified: float | None = None
    version_id: str | None = None
    is_dir: bool = False

    @property
    def may_be_dated_back(self) -> bool:
        """Whether its time may be that of the beginning of its upload: AWS reports that of an upload in
        parts."""
        return self.version is None or "-" in self.version

    def is_older_than(self, written: float) -> bool:
        """Whether it was certainly stored before a moment of the store's clock."""
        if self.modified is None or self.may_be_dated_back:
            return False
        return math.floor(self.modified) < math.floor(written)

    def may_be_newer_than(self, written: float) -> bool:
        """Whether it may have been stored after a moment of the store's clock."""
        return self.modified is None or math.floor(self.modified) >= math.floor(written)


def settle(
    check: Check, at_place: Found | None, at_target: Found | None, written: float, slack: float = 0.0
) -> Verdict:
    """Decide. `at_place` and `at_target` are what is stored where the check names them, None for nothing;
    `written` is when the change was noted, just before it began, by the store's clock. That of the files may
    differ from it by `slack` seconds."""
    earliest, latest = (_settle(check, at_place, at_target, written + shift) for shift in (-slack, slack))
    return earliest if earliest is latest else Verdict.UNKNOWN


def _settle(check: Check, at_place: Found | None, at_target: Found | None, written: float) -> Verdict:
    if check.action == "commit":
        return _settle_commit(check, at_place, written)
    if check.action == "remove":
        return _settle_removal(check, at_place, written)
    return _settle_rename(check, at_place, at_target, written)


def _settle_commit(check: Check, found: Found | None, written: float) -> Verdict:
    if found is None:
        return Verdict.UNKNOWN
    if check.mark is not None and found.mark == check.mark:
        return Verdict.HAPPENED
    return Verdict.NOT if found.is_older_than(written) else Verdict.UNKNOWN


def _settle_removal(check: Check, found: Found | None, written: float) -> Verdict:
    if found is None:
        return Verdict.HAPPENED
    is_same = check.version is not None and found.version == check.version and _is_not_newer(found, written)
    return Verdict.NOT if is_same or found.is_older_than(written) else Verdict.UNKNOWN


def _settle_rename(check: Check, at_source: Found | None, at_target: Found | None, written: float) -> Verdict:
    if at_target is not None and _may_be_the_copy(check, at_target, written):
        is_certain = at_source is None or (
            check.version is not None and at_target.version == check.version and not at_target.is_dir
        )
        return Verdict.HAPPENED if is_certain else Verdict.UNKNOWN
    if at_source is not None:
        is_same = check.version is None or at_source.version == check.version
        return Verdict.NOT if is_same or at_source.is_older_than(written) else Verdict.UNKNOWN
    return Verdict.UNKNOWN


def _may_be_the_copy(check: Check, target: Found, written: float) -> bool:
    if check.action == "rename_directory":
        return target.is_dir
    return target.may_be_newer_than(written) and (check.size is None or target.size == check.size)


def _is_not_newer(found: Found, written: float) -> bool:
    return found.modified is None or math.floor(found.modified) <= math.floor(written)

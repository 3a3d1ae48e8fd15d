"""Decides whether the rules allow a rename. Pure.

A rename moves files from one rule to another, and must not be a way around either. For the paths themselves,
and for each path below them where rules begin, these must hold:

- `rename` at the source, and at the target `write`, or `overwrite` if a file is replaced;
- what the target's rules allow and the source's do not (read, remove, change) is not gained by moving: it
  takes `read` and `delete` at the source, with which the user could copy and remove the file anyway;
- names and sizes of everything that moves fit the rules of both ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from s3sftp.errors import NoSpace, PermissionDenied
from s3sftp.fs.access_rules import AppliedRules, OnConflict
from s3sftp.fs.mounts import Mounts
from s3sftp.fs.paths import VirtualPath
from s3sftp.fs.rights import Right

_OVER_CONTENT = frozenset(
    {Right.READ, Right.OVERWRITE, Right.APPEND, Right.DELETE, Right.RENAME, Right.SETSTAT}
)
"""What a user can do to a file that is there."""
_OVER_OWN = frozenset({Right.READ, Right.DELETE, Right.RENAME})
"""What a rename may presume of a file that the session has just stored, whole."""


@dataclass(frozen=True, slots=True)
class Move:
    """A rename from one path to another, in one user's tree."""

    mounts: Mounts
    source: VirtualPath
    target: VirtualPath

    @property
    def source_rules(self) -> AppliedRules:
        return self.mounts.rules.at(self.source)

    @property
    def target_rules(self) -> AppliedRules:
        return self.mounts.rules.at(self.target)

    @property
    def is_about_what_moves(self) -> bool:
        """Whether it matters what moves: a file or a directory, and what is in it."""
        mounts = self.mounts
        return (
            self.keeps_both
            or mounts.is_mounted_file(self.target)
            or not (mounts.accepts_file_name(self.source) and mounts.accepts_file_name(self.target))
            or any(here != there or here.has_patterns for here, there in self._pairs(is_dir=True))
        )

    @property
    def looks_inside(self) -> bool:
        """Whether the names and sizes in a directory that moves have to be checked one by one."""
        return any(
            here.has_patterns or there.has_patterns or there.is_narrower(here)
            for here, there in self._pairs(is_dir=True)
        )

    @property
    def may_create(self) -> bool:
        return Right.WRITE in self.target_rules.rights

    def may_replace(self, *, overwrite: bool) -> bool:
        """Whether a file at the target may be replaced, if the client wants to."""
        rules = self.target_rules
        allowed = rules.on_conflict is OnConflict.OVERWRITE and Right.OVERWRITE in rules.rights
        return overwrite and allowed

    @property
    def keeps_both(self) -> bool:
        """Whether a file gets another name if the target is taken."""
        rules = self.target_rules
        is_given = self.mounts.is_mounted_file(self.target)
        return rules.on_conflict is OnConflict.KEEP_BOTH and self.may_create and not is_given

    def refuse_gains(self, *, is_dir: bool, is_own: bool = False) -> None:
        """`is_own`: this session has just stored the file. It knows the content, and may move the file away.

        Raises PermissionDenied: if moving would give rights over files, or a right below is missing.
        """
        for here, there in self._pairs(is_dir=is_dir):
            held = here.rights | _OVER_OWN if is_own and not is_dir else here.rights
            here = replace(here, rights=held)
            here.require(Right.RENAME)
            if there != here:
                if not there.rights & {Right.WRITE, Right.OVERWRITE}:
                    there.require(Right.WRITE)
                if there.rights & _OVER_CONTENT - here.rights:
                    here.require(Right.READ, Right.DELETE)
        if is_dir:
            for below in self._rules_begin():
                self.mounts.rules.at(_below(self.target, below)).require(Right.WRITE)

    def refuse_entry(self, below: tuple[bytes, ...], *, is_dir: bool, size: int) -> None:
        """Check one entry that moves, by its names below the source; none for the source itself.

        Raises PermissionDenied: if its name may not be used, or is hidden, at either end; NoSpace: if it is
        larger than the target allows.
        """
        rules = self.mounts.rules
        source, target = _below(self.source, below), _below(self.target, below)
        for path in (source, target):
            names = rules.names_at(path)
            if below and names.hides(path.name):
                raise PermissionDenied(
                    "the directory has entries that cannot be moved", rule="hide: an entry below"
                )
            if not is_dir:
                self.mounts.refuse_file_name(path)
        # what is in a directory keeps its name, whatever is there
        there = rules.at(target) if below else rules.for_storing(target)
        here = rules.at(source)
        if not is_dir and there.is_narrower(here) and size > there.max_file_bytes:
            raise NoSpace(
                f"file too large: at most {there.max_file_bytes} bytes are accepted there",
                rule=f"max_file_bytes: {there.max_file_bytes}",
            )

    def _pairs(self, *, is_dir: bool) -> Iterator[tuple[AppliedRules, AppliedRules]]:
        """The rules at the source and at the target, and for a directory where other rules begin in it."""
        yield self.source_rules, self.target_rules
        if is_dir:
            for below in self._rules_begin():
                rules = self.mounts.rules
                yield rules.at(_below(self.source, below)), rules.at(_below(self.target, below))

    def _rules_begin(self) -> set[tuple[bytes, ...]]:
        rules = self.mounts.rules
        return {*rules.below(self.source), *rules.below(self.target)}


def _below(path: VirtualPath, names: tuple[bytes, ...]) -> VirtualPath:
    return VirtualPath(path.names + names)

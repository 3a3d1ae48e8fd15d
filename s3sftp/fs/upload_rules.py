"""What the rules at a path leave of an OPEN for writing. Pure.

    client opens            file exists           file is missing        race-free by
    TRUNC, CREAT            overwrite             write                  exclusive create without `overwrite`
    TRUNC                   overwrite             no such file           —
    CREAT                   append                write                  exclusive create without `append`
    neither                 append                no such file           —
    EXCL, CREAT             file exists           write                  exclusive create

`on_conflict` decides about whole files: `refuse` makes their creation exclusive, `keep-both` as well, and the
file gets another name if its own is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from s3sftp.errors import AlreadyExists, NoSpace, PermissionDenied, StorageError
from s3sftp.fs.access_rules import AppliedRules, OnConflict
from s3sftp.fs.rights import Right
from s3sftp.fs.write.upload_pipeline import WriteMode


@dataclass(frozen=True, slots=True)
class UploadRules:
    """How a file may be written."""

    mode: WriteMode = WriteMode()  # noqa: RUF009  frozen
    rules: AppliedRules = AppliedRules()  # noqa: RUF009  frozen
    keeps_both: bool = False
    """Whether it gets another name if its own is taken."""
    lacks: Right | None = None
    """The right whose lack leaves less than the client asked for: to create alone, or not to create."""

    def is_larger(self, size: int) -> bool:
        """Whether a size, in bytes, is more than a file may have."""
        return 0 < self.rules.max_file_bytes < size

    def refuse_attributes(self) -> None:
        """Check that times and permissions may be set before CLOSE: of a whole new file always.

        Raises PermissionDenied: if the file may exist and the right is missing.
        """
        if not (self.mode.truncate or self.mode.exclusive):
            self.rules.require(Right.SETSTAT)

    def refuse_size(self, size: int) -> None:
        """Raises NoSpace: if the file may not be that large, in bytes."""
        most = self.rules.max_file_bytes
        if self.is_larger(size):
            raise NoSpace(
                f"file too large: at most {most} bytes are accepted here", rule=f"max_file_bytes: {most}"
            )

    def taken(self, error: AlreadyExists) -> StorageError:
        """The error to raise if the name is taken: what the user lacks, or that the file exists."""
        if self.lacks is not None:
            return self.rules.missing(self.lacks)
        if self.rules.on_conflict is OnConflict.REFUSE:
            return AlreadyExists(rule="on_conflict: refuse")
        return error

    def refuse_missing(self) -> None:
        """Raises PermissionDenied: if the client wants a missing file created, and may not do that."""
        if self.lacks is Right.WRITE:
            raise self.rules.missing(self.lacks)


def upload_rules(rules: AppliedRules, mode: WriteMode) -> UploadRules:
    """How a file may be written that a client opens in a mode.

    Raises PermissionDenied: if whatever is there, the user may not.
    """
    if mode.truncate or mode.exclusive:
        return _whole(rules, mode)
    return _in_place(rules, mode)


def _whole(rules: AppliedRules, mode: WriteMode) -> UploadRules:
    asks = mode.exclusive and mode.create
    if rules.on_conflict is OnConflict.KEEP_BOTH and (not asks or not rules.sees):
        rules.require(Right.WRITE)
        return UploadRules(_new(mode), rules, keeps_both=True)
    if asks:
        rules.require(Right.WRITE)
        return UploadRules(mode, rules)
    if rules.on_conflict is OnConflict.REFUSE and not mode.create:
        raise PermissionDenied("files that exist are not replaced here", rule="on_conflict: refuse")
    return _either(rules, mode, Right.OVERWRITE, may_change=rules.on_conflict is OnConflict.OVERWRITE)


def _in_place(rules: AppliedRules, mode: WriteMode) -> UploadRules:
    may_change = Right.APPEND in rules.rights
    if rules.on_conflict is OnConflict.KEEP_BOTH and mode.create and not may_change:
        rules.require(Right.WRITE)
        return UploadRules(_new(mode), rules, keeps_both=True)
    return _either(rules, mode, Right.APPEND)


def _either(rules: AppliedRules, mode: WriteMode, change: Right, *, may_change: bool = True) -> UploadRules:
    """By what the user may: create, change what is there, or both."""
    may_create = mode.create and Right.WRITE in rules.rights
    has_change = change in rules.rights
    if may_create and has_change and may_change:
        return UploadRules(mode, rules)
    if may_create:
        return UploadRules(_new(mode), rules, lacks=None if has_change else change)
    if not has_change or not may_change:
        rules.require(Right.WRITE if mode.create else change)
    return UploadRules(replace(mode, create=False), rules, lacks=Right.WRITE if mode.create else None)


def _new(mode: WriteMode) -> WriteMode:
    return replace(mode, exclusive=True, create=True)

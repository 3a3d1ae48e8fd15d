"""Decides at which level a failed request is logged. Pure.

warning  the storage failed or timed out; something is busy, at its limit or out of space
info     OPEN, and requests that change names or times; whatever rights and rules refuse; a bad path
debug    "no such file" of requests that only look: clients ask before they act
         MKDIR of a directory that exists: `mkdir -p` relies on it
         extensions and links that are not supported: clients try them and carry on
         READ, WRITE and CLOSE of a file, whose transfer has an event of its own
"""

from __future__ import annotations

import logging

from s3sftp import errors

_OF_TRANSFERS = frozenset({"READ", "WRITE", "CLOSE", "fsync"})
_TRIED_BY_HABIT = frozenset({"READLINK", "EXTENDED"})
_OF_STORAGE = (errors.StorageFailure, errors.TimedOut, errors.Busy, errors.NoSpace)


def failure_log_level(name: str, error: errors.StorageError, *, changes: bool) -> int:
    """The log level of a request's failure. `changes`: the request changes what is stored."""
    if name in _OF_TRANSFERS or _is_habit(name, error, changes=changes):
        return logging.DEBUG
    return logging.WARNING if isinstance(error, _OF_STORAGE) and error.rule is None else logging.INFO


def _is_habit(name: str, error: errors.StorageError, *, changes: bool) -> bool:
    """Whether clients send such requests routinely and expect them to fail."""
    if error.rule is not None:
        return False
    if isinstance(error, errors.NotFound | errors.NotADirectory):
        return name != "OPEN" and not changes
    if isinstance(error, errors.AlreadyExists):
        return name == "MKDIR"
    return isinstance(error, errors.Unsupported) and name in _TRIED_BY_HABIT

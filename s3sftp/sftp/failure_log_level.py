"""Which requests that failed an operator hears of at level info. Pure.

told      OPEN, and what changes names or times; every refusal for lack of a right; a limit; a bad path
          what the storage did not do, as a warning
not told  "no such file" of requests that look: clients ask before they act
          MKDIR of what exists, which `mkdir -p` is made of
          extensions and links that are not there: clients try them and go on
          READ, WRITE and CLOSE of a file, whose transfer has an event of its own
"""

from __future__ import annotations

import logging

from s3sftp import errors

_OF_TRANSFERS = frozenset({"READ", "WRITE", "CLOSE", "fsync"})
_TRIED_BY_HABIT = frozenset({"READLINK", "EXTENDED"})
_OF_STORAGE = (errors.StorageFailure, errors.TimedOut, errors.Busy, errors.NoSpace)


def failure_log_level(name: str, error: errors.StorageError, *, changes: bool) -> int:
    """The level at which the failure of a request is told."""
    if name in _OF_TRANSFERS or _is_habit(name, error, changes=changes):
        return logging.DEBUG
    return logging.WARNING if isinstance(error, _OF_STORAGE) else logging.INFO


def _is_habit(name: str, error: errors.StorageError, *, changes: bool) -> bool:
    """Whether clients ask so in the ordinary course of things, and go on."""
    if isinstance(error, errors.NotFound | errors.NotADirectory):
        return name != "OPEN" and not changes
    if isinstance(error, errors.AlreadyExists):
        return name == "MKDIR"
    return isinstance(error, errors.Unsupported) and name in _TRIED_BY_HABIT

"""Maps errors to SFTP status codes: the one table from the tree of errors to STATUS answers.

| error                   | status            | text                             |
|-------------------------|-------------------|----------------------------------|
| NotFound, NotADirectory | NO_SUCH_FILE      | `No such file`                   |
| PermissionDenied        | PERMISSION_DENIED | `Permission denied`              |
| Unsupported             | OP_UNSUPPORTED    | `Operation unsupported`          |
| all others              | FAILURE           | `Failure: ` and the error's text |

NotADirectory is POSIX's ENOTDIR, for which OpenSSH's server also sends NO_SUCH_FILE.
Version 3 has no codes for the others; their text, which better clients show, describes the error. Each text
begins with the words that OpenSSH's server sends, because programs match on them. An error whose own text
differs from its class's default adds that text after a colon.
"""

from __future__ import annotations

import enum

from s3sftp import errors
from s3sftp.sftp.codec import PacketType, packet, string, u32


class Status(enum.IntEnum):
    """The code of a STATUS answer."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    FAILURE = 4
    BAD_MESSAGE = 5
    NO_CONNECTION = 6
    CONNECTION_LOST = 7
    OP_UNSUPPORTED = 8


STATUS_OF: dict[type[errors.StorageError], Status] = {
    errors.StorageError: Status.FAILURE,
    errors.NotFound: Status.NO_SUCH_FILE,
    errors.AlreadyExists: Status.FAILURE,
    errors.PermissionDenied: Status.PERMISSION_DENIED,
    errors.NotADirectory: Status.NO_SUCH_FILE,
    errors.IsADirectory: Status.FAILURE,
    errors.NotEmpty: Status.FAILURE,
    errors.InvalidRequest: Status.FAILURE,
    errors.Unsupported: Status.OP_UNSUPPORTED,
    errors.OtherStorage: Status.FAILURE,
    errors.Changed: Status.FAILURE,
    errors.NoSpace: Status.FAILURE,
    errors.Busy: Status.FAILURE,
    errors.TimedOut: Status.FAILURE,
    errors.StorageFailure: Status.FAILURE,
}
"""Contains every class of the tree explicitly; a test checks it."""

WORDS: dict[Status, str] = {
    Status.OK: "Success",
    Status.EOF: "End of file",
    Status.NO_SUCH_FILE: "No such file",
    Status.PERMISSION_DENIED: "Permission denied",
    Status.FAILURE: "Failure",
    Status.BAD_MESSAGE: "Bad message",
    Status.NO_CONNECTION: "No connection",
    Status.CONNECTION_LOST: "Connection lost",
    Status.OP_UNSUPPORTED: "Operation unsupported",
}
"""The words that the text of each status begins with."""

_LANGUAGE = string(b"en")
_OK_TAIL = u32(Status.OK) + string(WORDS[Status.OK].encode()) + _LANGUAGE


def ok_packet(request_id: int) -> bytes:
    return packet(PacketType.STATUS, request_id, _OK_TAIL)


def status_packet(request_id: int, status: Status, more: str = "") -> bytes:
    """A STATUS answer with the standard words of the status, and `more` after a colon."""
    text = _in_words(WORDS[status], more).encode(errors="replace")
    return packet(PacketType.STATUS, request_id, u32(status), string(text), _LANGUAGE)


def status_of(error: errors.StorageError) -> Status:
    """The code for an error. A class from outside the package gets the code of its nearest base class."""
    return STATUS_OF[_known(error)]


def _known(error: errors.StorageError) -> type[errors.StorageError]:
    return next(cls for cls in type(error).__mro__ if cls in STATUS_OF)


def error_packet(request_id: int, error: errors.StorageError) -> bytes:
    """The answer to a request that failed. It contains the error's text, never its detail."""
    known, text = _known(error), str(error)
    status = STATUS_OF[known]
    says_no_more = status is not Status.FAILURE and text == known.default_text
    return status_packet(request_id, status, "" if says_no_more else text)


def _in_words(words: str, more: str) -> str:
    """Join the words and `more`, which may begin with the same words, as texts of other storages may do."""
    if more.lower().startswith(words.lower()):
        return words + more[len(words) :]
    return f"{words}: {more}" if more else words

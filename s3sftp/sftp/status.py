"""What an error becomes on the wire: the one table from the tree of errors to SFTP's status codes.

| error                   | status            | OpenSSH's sftp prints     |
|-------------------------|-------------------|---------------------------|
| NotFound, NotADirectory | NO_SUCH_FILE      | No such file or directory |
| PermissionDenied        | PERMISSION_DENIED | Permission denied         |
| Unsupported             | OP_UNSUPPORTED    | Operation unsupported     |
| all others              | FAILURE           | Failure                   |

NotADirectory is ENOENT's neighbour ENOTDIR, for which OpenSSH's server says NO_SUCH_FILE too.
Version 3 has no codes for the others; their text, which better clients show, says what is wrong.
"""

from __future__ import annotations

import enum

from s3sftp import errors
from s3sftp.sftp.codec import Type, packet, string, u32


class Status(enum.IntEnum):
    """Codes of a STATUS answer."""

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
    errors.Changed: Status.FAILURE,
    errors.NoSpace: Status.FAILURE,
    errors.Busy: Status.FAILURE,
    errors.TimedOut: Status.FAILURE,
    errors.StorageFailure: Status.FAILURE,
}
"""Every class of the tree stands here itself; a test says so."""

_OK_TAIL = u32(Status.OK) + string(b"") + string(b"")


def ok_packet(request_id: int) -> bytes:
    return packet(Type.STATUS, request_id, _OK_TAIL)


def status_packet(request_id: int, status: Status, text: str) -> bytes:
    return packet(Type.STATUS, request_id, u32(status), string(text.encode()), string(b"en"))


def error_packet(request_id: int, error: errors.StorageError) -> bytes:
    """The answer to a request that failed; carries the error's own text, never its detail."""
    known = next(cls for cls in type(error).__mro__ if cls in STATUS_OF)
    return status_packet(request_id, STATUS_OF[known], str(error))

"""The one tree of errors. Every layer raises these; each boundary translates to or from them once.

    StorageError                  anything an operation on files can end with
    ├── NotFound                  nothing has that name
    ├── AlreadyExists             something has that name
    ├── PermissionDenied          this user may not
    ├── NotADirectory             the name is a file's
    ├── IsADirectory              the name is a directory's
    ├── NotEmpty                  the directory has something in it
    ├── InvalidRequest            the request makes no sense (bad path, bad offset, bad flags)
    ├── Unsupported               understood, but object storage cannot do it
    ├── OtherStorage              the two names are in different storages
    ├── Changed                   someone replaced the file underneath this operation
    ├── NoSpace                   a configured quota or the spool is full
    ├── Busy                      the storage asks to slow down, or a limit of ours is reached
    ├── TimedOut                  the storage did not answer within the deadline
    └── StorageFailure            the storage failed in another way
    UsersUnavailable              a source of users cannot say who may log in
    ConfigurationError            the options are wrong; start-up ends, every problem listed
    LoginRefused                  a credential opens no account; why is for the log alone

The text of a StorageError is safe to show to a stranger: it never contains a bucket, a key, an endpoint or a
credential. What only the operator needs is in `detail`, which goes to the log alone.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence


class S3sftpError(Exception):
    """The root of all exceptions that s3sftp raises on purpose."""


class StorageError(S3sftpError):
    """An operation on files failed; `str()` is safe to send to the client."""

    default_text = "the operation failed"

    def __init__(
        self,
        text: str | None = None,
        *,
        detail: str | None = None,
        lasting: bool = False,
        rule: str | None = None,
    ) -> None:
        super().__init__(text or self.default_text)
        self.detail = detail
        """For the operator only: the client must not see it."""
        self.lasting = lasting
        """Whether the error will persist until somebody changes something. At start, a lasting error ends the
        start; one that may pass by itself does not."""
        self.rule = rule
        """The right that is missing, or the rule that refuses: for the log alone. None for other failures."""


class NotFound(StorageError):
    default_text = "no such file or directory"


class AlreadyExists(StorageError):
    default_text = "file exists"


class PermissionDenied(StorageError):
    default_text = "permission denied"


class NotADirectory(StorageError):
    default_text = "not a directory"


class IsADirectory(StorageError):
    default_text = "is a directory"


class NotEmpty(StorageError):
    default_text = "directory not empty"


class InvalidRequest(StorageError):
    default_text = "invalid request"


class Unsupported(StorageError):
    default_text = "not supported by object storage"


class OtherStorage(StorageError):
    default_text = "source and target are in different storages: copy it, then remove it"


class Changed(StorageError):
    default_text = "file changed while it was in use"


class NoSpace(StorageError):
    default_text = "no space left"


class Busy(StorageError):
    default_text = "storage is busy, try again later"


class TimedOut(StorageError):
    default_text = "storage did not answer in time"


class StorageFailure(StorageError):
    default_text = "storage failure"


class UsersUnavailable(S3sftpError):
    """A source of users cannot say who may log in, and has logged why. The login is refused, and does not
    count against the client."""


class ConfigurationError(S3sftpError):
    """The configuration cannot be used. Each problem names the option, its value and a correction."""

    def __init__(self, problems: Sequence[str]) -> None:
        """A single text is one problem."""
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class LoginRefused(S3sftpError):
    """A credential opens no account. The text says why; it is for the operator's log, not for the client."""


def outcome_is_unknown(error: StorageError) -> bool:
    """Whether the storage may have done what it was asked although it reported a failure: the failure behind
    the error says so by an attribute `unknown`."""
    return bool(getattr(error.__cause__, "unknown", False))


def describe_unexpected(error: Exception) -> str:
    """Describe an unexpected error in one line for the operator: its type and text, and where it
    was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"

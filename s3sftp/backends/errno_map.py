"""Maps the errors of the tree to POSIX error names, and back.

Storages that act like file systems raise an `OSError`; services in another process send its name. Each name
stands for one class of the tree, and each class has one name that describes it best.

| names                                            | error            |
|--------------------------------------------------|------------------|
| ENOENT, ENODEV, ENXIO                            | NotFound         |
| EEXIST                                           | AlreadyExists    |
| EACCES, EPERM, EROFS, ELOOP                      | PermissionDenied |
| ENOTDIR                                          | NotADirectory    |
| EISDIR                                           | IsADirectory     |
| ENOTEMPTY                                        | NotEmpty         |
| EINVAL, ENAMETOOLONG, EILSEQ, EBADF              | InvalidRequest   |
| EXDEV                                            | OtherStorage     |
| ENOTSUP, EOPNOTSUPP, ENOSYS                      | Unsupported      |
| ESTALE                                           | Changed          |
| ENOSPC, EDQUOT, EFBIG                            | NoSpace          |
| EAGAIN, EBUSY, EMFILE, ENFILE, ENOMEM, ETXTBSY   | Busy             |
| ETIMEDOUT                                        | TimedOut         |
| EIO and all others                               | StorageFailure   |
"""

from __future__ import annotations

import errno

from s3sftp import errors

ERROR_OF_NAME: dict[str, type[errors.StorageError]] = {
    "ENOENT": errors.NotFound,
    "ENODEV": errors.NotFound,
    "ENXIO": errors.NotFound,
    "EEXIST": errors.AlreadyExists,
    "EACCES": errors.PermissionDenied,
    "EPERM": errors.PermissionDenied,
    "EROFS": errors.PermissionDenied,
    "ELOOP": errors.PermissionDenied,
    "ENOTDIR": errors.NotADirectory,
    "EISDIR": errors.IsADirectory,
    "ENOTEMPTY": errors.NotEmpty,
    "EINVAL": errors.InvalidRequest,
    "ENAMETOOLONG": errors.InvalidRequest,
    "EILSEQ": errors.InvalidRequest,
    "EBADF": errors.InvalidRequest,
    "EXDEV": errors.OtherStorage,
    "ENOTSUP": errors.Unsupported,
    "EOPNOTSUPP": errors.Unsupported,
    "ENOSYS": errors.Unsupported,
    "ESTALE": errors.Changed,
    "ENOSPC": errors.NoSpace,
    "EDQUOT": errors.NoSpace,
    "EFBIG": errors.NoSpace,
    "EAGAIN": errors.Busy,
    "EBUSY": errors.Busy,
    "EMFILE": errors.Busy,
    "ENFILE": errors.Busy,
    "ENOMEM": errors.Busy,
    "ETXTBSY": errors.Busy,
    "ETIMEDOUT": errors.TimedOut,
    "EIO": errors.StorageFailure,
}
"""The error of each POSIX name. The first name of a class is the most precise one."""

_NAME_OF: dict[type[errors.StorageError], str] = {}
for _name, _class in ERROR_OF_NAME.items():
    _NAME_OF.setdefault(_class, _name)

_NAME_OF_PYTHON_S: dict[type[OSError], str] = {
    FileNotFoundError: "ENOENT",
    FileExistsError: "EEXIST",
    PermissionError: "EACCES",
    NotADirectoryError: "ENOTDIR",
    IsADirectoryError: "EISDIR",
    BlockingIOError: "EAGAIN",
    TimeoutError: "ETIMEDOUT",
}

_TEXT_OF_NAME = {
    "EROFS": "read-only storage",
    "EDQUOT": "quota exceeded",
    "EFBIG": "file too large",
    "ENAMETOOLONG": "name too long",
}
"""Texts for the client where the class's own text would say less."""


def error_from_posix_name(
    name: str, text: str | None = None, *, detail: str | None = None
) -> errors.StorageError:
    """The error that a POSIX name stands for. `text` is for the client, `detail` for the log only."""
    known = ERROR_OF_NAME.get(name, errors.StorageFailure)
    if name not in ERROR_OF_NAME:
        detail = f"{name}: {detail}" if detail else name
    return known(text or _TEXT_OF_NAME.get(name), detail=detail)


def error_from_oserror(error: OSError) -> errors.StorageError:
    """The error that an `OSError` stands for. Its text, which may contain paths of the server, becomes the
    detail."""
    name = errno.errorcode.get(error.errno or 0)
    if name is None:  # made without a number: `FileNotFoundError("no such row")`
        name = next((n for cls, n in _NAME_OF_PYTHON_S.items() if isinstance(error, cls)), "EIO")
    return error_from_posix_name(name, detail=str(error) or name)


def posix_name_of(error: errors.StorageError) -> str:
    """The POSIX name that describes an error most precisely."""
    return next((_NAME_OF[cls] for cls in type(error).__mro__ if cls in _NAME_OF), "EIO")

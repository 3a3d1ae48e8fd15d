"""Reports a command's failure: one clear line for each problem on standard error, and an exit status.

2  the configuration is wrong
1  anything else: the port is taken, the bucket cannot be used, the machine lacks a resource
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import NoReturn

import click

from s3sftp.errors import ConfigurationError, S3sftpError, StorageError
from s3sftp.telemetry.logs import printable

_OPEN_FILES = "raise the limit of open files (ulimit -n, LimitNOFILE)"
_MEMORY = "raise the limit of memory (ulimit -v, MemoryMax, the container's)"
_TASKS = "raise the limit of processes and threads (ulimit -u, TasksMax, pids.max), or that of memory"
_OF_THE_MACHINE = {
    errno.EMFILE: _OPEN_FILES,
    errno.ENFILE: _OPEN_FILES,
    errno.ENOMEM: _MEMORY,
    errno.EAGAIN: _TASKS,
    **dict.fromkeys(
        (
            *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS),
            *(errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR),
            *(errno.ENAMETOOLONG, errno.ELOOP, errno.EILSEQ, errno.ENXIO, errno.ETXTBSY, errno.ENOEXEC),
        ),
        "",
    ),
}
"""Errors that are due to how the system is set up, with advice. Others, such as EBADF, are bugs of the
program, and keep their traceback."""


@contextmanager
def reported_errors() -> Iterator[None]:
    """Turn errors that an operator can act on into messages; others keep their traceback."""
    try:
        yield
    except ConfigurationError as error:
        count = len(error.problems)
        print_error(f"s3sftp: the configuration has {count} problem{'s' if count > 1 else ''}:")
        for problem in error.problems:
            print_error(f"  {problem}")
        sys.exit(2)
    except StorageError as error:
        print_error(f"s3sftp: storage: {error}" + (f" ({error.detail})" if error.detail else ""))
        sys.exit(1)
    except S3sftpError as error:
        print_error(f"s3sftp: {error}")
        sys.exit(1)
    except (OSError, MemoryError, RuntimeError) as error:
        words = _of_the_machine(error)
        if words is None:
            raise
        print_error(f"s3sftp: {words}")
        sys.exit(1)
    except Exception as error:
        if not _is_interrupt(error):
            raise
        print_error("Aborted!")
        sys.exit(1)


def print_error(text: str) -> None:
    """Print one line on standard error, whatever it contains. If standard error is full, the exit status has
    to do."""
    with contextlib.suppress(OSError, ValueError):
        print(printable(text, 4000), file=sys.stderr, flush=True)


def end_without_user(user: str, names: Sequence[str]) -> NoReturn:
    """End with status 1, because there is no such user among `names`."""
    close = get_close_matches(user, names, n=5)
    if close:
        hint = f"close to it: {', '.join(close)}"
    elif names:
        hint = f"there are {len(names)} others" if len(names) > 1 else f"there is only {names[0]}"
    else:
        hint = "none is configured: add a [users.NAME] table"
    print_error(f"s3sftp: there is no user {user!r}; {hint}")
    sys.exit(1)


def _is_interrupt(error: Exception) -> bool:
    """Whether Ctrl-C came while pydantic built a validator: it then raises its own error."""
    return type(error).__name__ == "SchemaError" and "KeyboardInterrupt" in str(error)


def _of_the_machine(error: OSError | MemoryError | RuntimeError) -> str | None:
    """The message for an error that is due to the system; None if it is not."""
    if isinstance(error, MemoryError):
        return f"out of memory{f' ({error})' if str(error) else ''}: {_MEMORY}"
    if isinstance(error, RuntimeError):
        return f"no thread can be started: {_TASKS}" if "start new thread" in str(error) else None
    advice = _OF_THE_MACHINE.get(error.errno or 0)
    if advice is None:
        return None
    reason = error.strerror or str(error)
    what = f"{os.fsdecode(error.filename)!r}: {reason}" if isinstance(error.filename, str | bytes) else reason
    if error.filename is None and _is_of_output(error):
        what = f"cannot write to standard output: {reason}"
    return f"{what}; {advice}" if advice else what


def _is_of_output(error: OSError) -> bool:
    """Whether writing to standard output raised the error, as `click.echo` does in all commands.

    If so, output goes to /dev/null from now on; otherwise the end of the process would write again and fail.
    """
    modules = {frame.f_globals.get("__name__") for frame, _ in traceback.walk_tb(error.__traceback__)}
    if click.utils.__name__ not in modules:
        return False
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True

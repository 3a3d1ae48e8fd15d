"""How a command fails: one clear line for each problem on standard error, and an exit status that says which.

2  the configuration is wrong
1  anything else: the port is taken, the bucket cannot be used
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from s3sftp.errors import ConfigurationError, S3sftpError, StorageError
from s3sftp.telemetry.escape import printable


@contextmanager
def told_plainly() -> Iterator[None]:
    """Turn the errors that an operator can do something about into words; others keep their traceback."""
    try:
        yield
    except ConfigurationError as error:
        count = len(error.problems)
        say(f"s3sftp: the configuration has {count} problem{'s' if count > 1 else ''}:")
        for problem in error.problems:
            say(f"  {problem}")
        sys.exit(2)
    except StorageError as error:
        say(f"s3sftp: storage: {error}" + (f" ({error.detail})" if error.detail else ""))
        sys.exit(1)
    except S3sftpError as error:
        say(f"s3sftp: {error}")
        sys.exit(1)


def say(text: str) -> None:
    """One line on standard error, whatever is in it."""
    print(printable(text, 4000), file=sys.stderr)

"""Reads a file of public keys."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from s3sftp.auth.authorized_keys import FoundKeys, keys_in
from s3sftp.auth.key_entries import MAX_BYTES
from s3sftp.config import SourceFiles


def read_key_file(file: Path, sources: SourceFiles | None) -> FoundKeys:
    """The keys in a file, of which only enough is read to detect that it is too long.

    Raises OSError: if the file cannot be read.
    """
    if sources is not None:
        sources.note(file)
    if stat.S_ISFIFO(os.stat(file).st_mode):
        raise OSError(errno.ESPIPE, "is a pipe; it should be a file, which can be read again")
    with file.open("rb") as stream:
        return keys_in(stream.read(MAX_BYTES + 1), str(file))

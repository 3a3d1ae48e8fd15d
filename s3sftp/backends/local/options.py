"""The options of the local backend: which directory it serves, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from s3sftp.config import ByteSize, LocalPath, Options

MIB = 1 << 20


def _parse_mode(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return int(value.strip().removeprefix("0o"), 8)
    except ValueError:
        raise ValueError("should be permissions in octal, like '0640'") from None


Mode = Annotated[int, BeforeValidator(_parse_mode), Field(ge=0, le=0o7777)]
"""POSIX permission bits: a number (TOML: `0o640`), or a text in octal such as `"0640"`."""


class LocalOptions(Options):
    """A directory of this machine as storage (`backend = "local"`)."""

    root: LocalPath
    """The directory, as an absolute path. It must exist. Nothing outside it is ever read or changed."""
    follow_symlinks: bool = False
    """Follow symbolic links that lead to something inside `root` by a relative path; others are refused.
    Requires Linux 5.6. If off, all links are refused, and listings leave them out."""
    fsync: bool = True
    """Wait until a file, a new name or a removal is on disk before reporting success to the client. If off,
    the server is faster, but a power failure may lose what it acknowledged in the seconds before."""
    file_mode: Mode | None = None
    """Permissions of new files, such as `"0640"`. Default: 0666 less the umask."""
    dir_mode: Mode | None = None
    """Permissions of new directories, such as `"0750"`. Default: 0777 less the umask."""
    chunk_bytes: ByteSize = Field(default=MIB, ge=64 << 10, le=64 * MIB)
    """Bytes of an upload that are written in one call; up to 4 such chunks are in progress at once."""
    threads: int = Field(default=16, ge=1, le=256)
    """Maximum number of concurrent file system calls of each worker; more wait."""

    @field_validator("root")
    @classmethod
    def _root_is_absolute(cls, value: Path) -> Path:
        if not value.is_absolute():
            raise ValueError("should be an absolute path, like '/srv/sftp'")
        return value

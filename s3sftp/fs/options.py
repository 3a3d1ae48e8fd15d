"""Options of the file layer: how much is fetched ahead, held back, put in order."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from s3sftp.config import DIVIDED, ByteSize, LocalPath, Options, PositiveDuration

MIB = 1 << 20
MIN_BUFFER_BYTES = 16 * MIB
"""Of a process."""


class FileOptions(Options):
    """`[files]`: what the server does between SFTP's small requests and the storage's large ones."""

    buffer_bytes: Annotated[ByteSize, DIVIDED] = Field(256 * MIB, ge=MIN_BUFFER_BYTES)
    """Memory for file contents, uploads and read-ahead of all sessions together, of which each worker has
    an equal share. One chunk of each worker may exceed it, so that there always is progress. While there are
    large uploads, memory of stored chunks is kept beside it for the next ones: half of it, and 64 MiB of
    each worker, at most."""
    buffer_wait: PositiveDuration = timedelta(minutes=1)
    """How long a WRITE waits for room in `buffer_bytes`, while nobody gets any, before it fails as busy. If
    nobody can go on for half of that, the upload whose client has been silent for longest is given up."""
    range_bytes: ByteSize = Field(8 * MIB, ge=64 * 1024)
    """Length of the ranged requests that serve a sequential reader."""
    read_ahead_bytes: ByteSize = Field(64 * MIB, ge=0)
    """The most bytes on their way ahead of a sequential reader, for each open file. How many there are is by
    what is measured: the reader's rate, and the storage's distance and speed; and by its share of
    `buffer_bytes`."""
    reorder_bytes: ByteSize = Field(16 * MIB, ge=1 * MIB)
    """How many bytes of an upload may wait in memory for earlier ones that have not arrived."""
    rewrite: Literal["refuse", "spool"] = "refuse"
    """What happens to a write that goes back behind what was sent to the storage, or too far ahead of it:
    refuse it, or keep every upload beyond one chunk in a spool file from which it can be sent again."""
    spool_dir: LocalPath | None = None
    """Directory of the spool files; none: the system's temporary directory."""
    spool_bytes: Annotated[ByteSize, DIVIDED] = Field(1024 * MIB, ge=0)
    """How much disk all spool files together may use; each worker has an equal share of it."""
    gaps: Literal["refuse", "zero"] = "refuse"
    """What CLOSE does with bytes that were never written: refuse the file, or fill them with zeros."""
    max_zero_fill_bytes: ByteSize = Field(1024 * MIB, ge=0)
    """How many zeros one upload may be filled with, whether by `gaps` or because the client enlarged it."""
    max_check_files: Annotated[int, DIVIDED] = Field(8, ge=1)
    """How many files may be hashed at once for check-file, one for each session; further requests wait their
    turn. Each worker has an equal share of it, at least one."""
    check_file_timeout: PositiveDuration = timedelta(minutes=10)
    """How long hashing one file may take."""
    max_uploads_per_user: int = Field(100, ge=1)
    """How many files one user may be writing at once, over all sessions."""

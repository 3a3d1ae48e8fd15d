"""Options of the file layer: memory, read-ahead, out-of-order writes, spool files and hashing."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from s3sftp.config import DIVIDED, ByteSize, Duration, LocalPath, Options, PositiveDuration

MIB = 1 << 20
MIN_BUFFER_BYTES = 16 * MIB
"""The minimum of `buffer_bytes` for each process."""


class FileOptions(Options):
    """`[files]`: how the server translates SFTP's small requests into the storage's large ones."""

    buffer_bytes: Annotated[ByteSize, DIVIDED] = Field(256 * MIB, ge=MIN_BUFFER_BYTES)
    """Memory for file contents: uploads and read-ahead of all sessions together. Each worker gets an equal
    share. Each worker may exceed it by one chunk, so that uploads always make progress. While large uploads
    are open, the server also keeps memory of stored chunks for reuse: at most half of this size, and at
    most 64 MiB for each worker."""
    buffer_wait: PositiveDuration = timedelta(minutes=1)
    """How long a WRITE waits for memory of `buffer_bytes`, while no upload gets any, before it fails as busy.
    If no upload can continue for half of this time, the server aborts the one whose client has been silent
    for longest."""
    range_bytes: ByteSize = Field(8 * MIB, ge=64 * 1024)
    """Length of the ranged requests that serve a sequential reader."""
    read_ahead_bytes: ByteSize = Field(64 * MIB, ge=0)
    """Maximum read-ahead of a sequential reader, for each open file. The actual amount depends on
    measurements, the reader's rate and the storage's latency and throughput, and on the file's share of
    `buffer_bytes`."""
    reorder_bytes: ByteSize = Field(16 * MIB, ge=1 * MIB)
    """Maximum number of bytes of an upload that wait in memory for earlier bytes that have not arrived."""
    rewrite: Literal["refuse", "spool"] = "refuse"
    """What to do about a write to a position that was already sent to the storage, or too far ahead of it:
    `refuse` it, or `spool`: keep every upload larger than one chunk in a spool file too, and send it again
    from there."""
    spool_dir: LocalPath | None = None
    """Directory of the spool files; by default the system's temporary directory."""
    spool_bytes: Annotated[ByteSize, DIVIDED] = Field(1024 * MIB, ge=0)
    """Maximum disk space of all spool files together. Each worker gets an equal share."""
    gaps: Literal["refuse", "zero"] = "refuse"
    """What CLOSE does about bytes that were never written: `refuse` the file, or fill them with zeros
    (`zero`)."""
    max_zero_fill_bytes: ByteSize = Field(1024 * MIB, ge=0)
    """Maximum number of zeros that one upload is filled with, by `gaps` or because the client enlarged it."""
    max_check_files: Annotated[int, DIVIDED] = Field(8, ge=1)
    """Maximum number of files that are hashed at once for check-file, one for each session; further requests
    wait their turn. Each worker gets an equal share, at least one."""
    check_file_timeout: PositiveDuration = timedelta(minutes=10)
    """Maximum time to hash one file."""
    quota_recount: PositiveDuration = timedelta(hours=1)
    """How old the count of what is stored in a prefix with a quota may become before the server lists the
    prefix again, at the next change there. Between counts the server adds and subtracts what its own users
    change."""
    resume: Duration = timedelta(0)
    """How long the parts of an upload that ends without CLOSE are kept, so that its user can go on where the
    line was lost; zero: not at all. Nothing is published before CLOSE. Only S3 keeps uploads. Keep it below
    the days of the bucket's lifecycle rule for unfinished uploads."""
    resume_max_uploads_per_user: int = Field(20, ge=1)
    """Maximum number of a user's uploads that are kept by `resume`. Further ones are aborted."""
    resume_user_bytes: ByteSize = Field(100 * 1024 * MIB, ge=1 * MIB)
    """Maximum bytes of a user's uploads that are kept by `resume`. An upload that would exceed it is
    aborted."""
    max_uploads_per_user: int = Field(100, ge=1)
    """Maximum number of files that one user may have open for writing at once, over all sessions."""

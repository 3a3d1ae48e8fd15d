"""Options of the SFTP engine: what one session may take."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from s3sftp.config import ByteSize, Duration, Options, PositiveDuration

KIB = 1 << 10


class SftpOptions(Options):
    """`[sftp]`: limits of one SFTP session; a client is told of those it can ask for."""

    max_handles: int = Field(256, ge=1)
    """How many files and directories a session may have open."""
    max_directories: int = Field(64, ge=1)
    """How many of them may be directories: each holds a page of its listing."""
    max_read_bytes: ByteSize = Field(255 * KIB, ge=32 * KIB, le=4096 * KIB)
    """The most that one READ is answered with; announced by limits@openssh.com."""
    max_write_bytes: ByteSize = Field(255 * KIB, ge=32 * KIB, le=4096 * KIB)
    """The most that one WRITE should carry; announced by limits@openssh.com."""
    max_requests_in_flight: int = Field(128, ge=1)
    """How many requests of a session, READs apart, run or wait their turn at once; further ones are not read
    from the connection."""
    max_reads_waiting: int = Field(4096, ge=64)
    """How many READs of a session run or wait, so that a slow download leaves room for other requests."""
    send_buffer_bytes: ByteSize = Field(8192 * KIB, ge=512 * KIB)
    """How many bytes of answers a session may hold for a client that does not take them."""
    receive_buffer_bytes: ByteSize = Field(1024 * KIB, ge=64 * KIB)
    """How many bytes of requests a session may hold that wait for room, such as WRITEs to a slow storage."""
    idle_timeout: Duration = timedelta(minutes=30)
    """A session without requests and without running transfers for so long is ended; 0 never. A client that
    is merely silent, even in mid-upload, is not cut off sooner."""
    stall_timeout: Duration = timedelta(minutes=30)
    """A session whose client takes none of the bytes that wait for it for so long is ended; 0 never."""
    close_timeout: PositiveDuration = timedelta(minutes=1)
    """How long a CLOSE that has arrived may go on storing its file after the connection is lost or the server
    is told to stop; a client that is still there gets its answer."""

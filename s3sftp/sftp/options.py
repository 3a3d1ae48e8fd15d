"""Options of the SFTP engine: the limits of one session."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from s3sftp.config import ByteSize, Duration, Options, PositiveDuration

KIB = 1 << 10


class SftpOptions(Options):
    """`[sftp]`: limits of one SFTP session. Clients can query those that limits@openssh.com reports."""

    max_handles: int = Field(256, ge=1)
    """Maximum number of files and directories open in a session; announced by limits@openssh.com."""
    max_directories: int = Field(64, ge=1)
    """How many of these handles may be directories: each holds a page of its listing in memory."""
    max_read_bytes: ByteSize = Field(255 * KIB, ge=32 * KIB, le=4096 * KIB)
    """Maximum data in the answer to one READ; announced by limits@openssh.com."""
    max_write_bytes: ByteSize = Field(255 * KIB, ge=32 * KIB, le=4096 * KIB)
    """Maximum data that one WRITE should carry; announced by limits@openssh.com."""
    max_requests_in_flight: int = Field(128, ge=1)
    """Maximum number of requests of a session, READs excluded, that run or wait their turn at once. At the
    limit the server stops reading from the session's channel."""
    max_reads_waiting: int = Field(4096, ge=64)
    """Maximum number of READs of a session that run or wait. They have a limit of their own so that a slow
    download does not block other requests."""
    send_buffer_bytes: ByteSize = Field(8192 * KIB, ge=512 * KIB)
    """Maximum size of the answers that a session buffers for a client that does not read them."""
    receive_buffer_bytes: ByteSize = Field(1024 * KIB, ge=64 * KIB)
    """Maximum size of the requests that a session buffers until they can run, as WRITEs to a slow storage."""
    idle_timeout: Duration = timedelta(minutes=30)
    """End a session after this time without requests and without running transfers; 0 never. A client that is
    merely silent, even in the middle of an upload, is not cut off sooner."""
    stall_timeout: Duration = timedelta(minutes=30)
    """End a session whose client has read none of the answers waiting for it for this time; 0 never."""
    close_timeout: PositiveDuration = timedelta(minutes=1)
    """How long an upload whose CLOSE has arrived may take to commit after the connection is lost or the
    server begins to stop. A client that is still connected gets its answer."""

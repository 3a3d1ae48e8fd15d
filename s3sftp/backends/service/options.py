"""Options of the `[service]` group."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from s3sftp.config import DIVIDED, ByteSize, LocalPath, Options, PositiveDuration

MIN_FRAME_BYTES = 2 << 20
"""Every implementation accepts frames of at least this size: a page of a listing, a piece of a file."""
_MOST_PATH_BYTES = 103
"""Maximum length of a Unix socket's path: the lowest limit among operating systems."""


class ServiceOptions(Options):
    """`[service]`: a storage in a process of its own, behind a Unix socket (`backend = "service"`)."""

    socket: LocalPath
    """Where the storage service listens: the absolute path of a Unix socket."""
    call_timeout: PositiveDuration = timedelta(seconds=30)
    """Maximum time for an answer to a quick operation: metadata, a page of a listing, a piece of a file."""
    transfer_timeout: PositiveDuration = timedelta(minutes=5)
    """Maximum time for an operation that moves contents: a chunk, publishing, renaming, copying, a whole
    file."""
    connect_timeout: PositiveDuration = timedelta(seconds=2)
    """Maximum time for accepting a connection and sending the hello. Operations wait no longer than this for
    a service that is not there."""
    max_frame_bytes: ByteSize = Field(default=16 << 20, ge=MIN_FRAME_BYTES, le=1 << 30)
    """Maximum size of a message that is accepted. It also bounds the files of a service that only takes whole
    files, since each travels in one message."""
    max_calls: Annotated[int, DIVIDED] = Field(default=256, ge=1, le=65536)
    """Maximum number of concurrent calls to the service; more wait."""

    @field_validator("socket")
    @classmethod
    def _fits_into_an_address(cls, socket: Path) -> Path:
        if not socket.is_absolute():
            raise ValueError("should be an absolute path, like '/run/storage/socket'")
        if len(os.fsencode(socket)) > _MOST_PATH_BYTES:
            raise ValueError(f"should have at most {_MOST_PATH_BYTES} bytes: more are no address of a socket")
        return socket

"""Options of the `[service]` group."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from s3sftp.config import DIVIDED, ByteSize, LocalPath, Options, PositiveDuration

MIN_FRAME_BYTES = 2 << 20
"""What both ends of a connection take at least: a page of a listing, a piece of a file."""
_MOST_PATH_BYTES = 103
"""Of the limits that systems have, the lowest."""


class ServiceOptions(Options):
    """`[service]`: a storage in a process of its own, behind a Unix socket (`backend = "service"`)."""

    socket: LocalPath
    """Where the storage service listens: an absolute path."""
    call_timeout: PositiveDuration = timedelta(seconds=30)
    """How long the service may take to answer what should be quick: looking, listing, reading a piece."""
    transfer_timeout: PositiveDuration = timedelta(minutes=5)
    """How long it may take for what moves contents: a chunk, publishing, renaming, copying, a whole file."""
    connect_timeout: PositiveDuration = timedelta(seconds=2)
    """How long it may take to accept a connection and to say what it can. Operations wait no longer for a
    service that is not there."""
    max_frame_bytes: ByteSize = Field(default=16 << 20, ge=MIN_FRAME_BYTES, le=1 << 30)
    """The longest message that is taken. A service that only has whole files cannot have longer ones: each
    travels in one message."""
    max_calls: Annotated[int, DIVIDED] = Field(default=256, ge=1, le=65536)
    """Operations that the service is asked for at once; more wait."""

    @field_validator("socket")
    @classmethod
    def _fits_into_an_address(cls, socket: Path) -> Path:
        if not socket.is_absolute():
            raise ValueError("should be an absolute path, like '/run/storage/socket'")
        if len(os.fsencode(socket)) > _MOST_PATH_BYTES:
            raise ValueError(f"should have at most {_MOST_PATH_BYTES} bytes: more are no address of a socket")
        return socket

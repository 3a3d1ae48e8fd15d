"""Options of the `[admin]` group."""

from __future__ import annotations

from pydantic import Field

from s3sftp.config import Options


class AdminOptions(Options):
    """The port for operators and their machines: health and metrics over HTTP, never for clients."""

    host: str = "127.0.0.1"
    """Address or name to listen on; empty for all addresses, IPv4 and IPv6. There is no login and no TLS: let
    nobody reach it who may not see buckets' names and the load."""
    port: int | None = Field(default=None, ge=0, le=65535)
    """TCP port; 0 picks a free one, which the log event `admin.listening` reports. Default: there is none."""

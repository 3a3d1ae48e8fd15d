"""Options of the `[admin]` group."""

from __future__ import annotations

from pydantic import Field

from s3sftp.config import Options


class AdminOptions(Options):
    """The port for operators and monitoring: health and metrics over HTTP, never for clients."""

    host: str = "127.0.0.1"
    """Address or name to listen on; empty for all addresses, IPv4 and IPv6. The port has no login and no TLS:
    make sure that only those can reach it who may see the buckets' names and the load."""
    port: int | None = Field(default=None, ge=0, le=65535)
    """TCP port; 0 picks a free one, which the log event `admin.listening` reports. Default: no admin port."""

"""`s3sftp health`: asks the server on the same machine whether it is healthy. For health checks."""

from __future__ import annotations

import http.client
import json
import sys
from pathlib import Path
from typing import Any

import click

from s3sftp.cli.admin_address import admin_settings, configured_address, reachable
from s3sftp.cli.error_messages import print_error
from s3sftp.errors import ConfigurationError

_SECONDS = 4.0
_MAX_BYTES = 1 << 16


@click.command()
@click.option("--live", is_flag=True, help="Ask whether it runs, not whether it can serve.")
@click.option("--host", help="Address of the admin port; default: `admin.host`.")
@click.option("--port", type=click.IntRange(1, 65535), help="The admin port; default: `admin.port`.")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    envvar="S3SFTP_CONFIG",
    help="Configuration file (TOML).",
)
def health(live: bool, host: str | None, port: int | None, config_file: Path | None) -> None:
    """Ask the admin port of a running server: exit status 0 when all is well, 1 with the reasons when not."""
    try:
        if host is None or port is None:
            configured = configured_address(admin_settings(config_file), port, "--port")
            host, port = host or configured[0], configured[1]
        reasons = _ask(reachable(host), port, "/livez" if live else "/readyz")
    except ConfigurationError as error:
        reasons = list(error.problems)
    for reason in reasons:
        print_error(f"s3sftp: {reason}")
    sys.exit(1 if reasons else 0)


def _ask(host: str, port: int, path: str) -> list[str]:
    """The reasons why the server is not healthy, one line for each."""
    connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(_MAX_BYTES)
    except UnicodeError:  # raised for the host: idna rejects it, or its bytes are not text
        return [f"{host!r} should be a host name or an address"]
    except (OSError, OverflowError, http.client.HTTPException) as error:
        return [f"no answer from {host} port {port}: {error or type(error).__name__}"]
    finally:
        connection.close()
    if answer.status == http.HTTPStatus.OK:
        return []
    return _reasons(body) or [f"{path} answered {answer.status}"]


def _reasons(body: bytes) -> list[str]:
    try:
        reasons: Any = json.loads(body)["reasons"]
        return [f"{reason['name']}: {reason.get('detail', '')}".rstrip(": ") for reason in reasons]
    except (ValueError, LookupError, TypeError, AttributeError):
        return []

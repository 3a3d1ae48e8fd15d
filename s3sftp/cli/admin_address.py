"""Where a running server's admin port is, by its configuration. The rest of that is not validated."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path

from s3sftp.config.layers import Settings, from_environment, from_toml
from s3sftp.errors import ConfigurationError


def admin_settings(file: Path | None) -> Mapping[str, object]:
    """The options of `[admin]` as they are written in a file and in the environment.

    Raises ConfigurationError: if the file cannot be read.
    """
    settings = Settings.layered(from_toml(file) if file else [], from_environment(os.environ, ()))
    return {
        path[1]: setting.value
        for path, setting in settings.by_path.items()
        if len(path) == 2 and path[0] == "admin"
    }


def configured_address(found: Mapping[str, object], given: int | None, flag: str) -> tuple[str, int]:
    """Host and port of the admin port. `given`: a port that wins; `flag`: what gives one on the command line.

    Raises ConfigurationError: if there is no admin port, or its options are wrong.
    """
    host, port = found.get("host", "127.0.0.1"), given or found.get("port")
    if port is None:
        raise ConfigurationError([f"there is no admin port to ask: set admin.port, or give {flag}"])
    try:
        return str(host), int(str(port))
    except ValueError:
        raise ConfigurationError([f"admin.port = {port!r} should be a number from 1 to 65535"]) from None


def reachable(host: str) -> str:
    """An address to connect to: addresses that mean "all of this machine" are only for listening."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host or "127.0.0.1"
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"

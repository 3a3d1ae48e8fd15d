"""The options in force, as the admin API shows them: without secrets. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from s3sftp.app.options import ServerOptions
from s3sftp.config import is_secret
from s3sftp.config.addresses import without_url_secrets
from s3sftp.telemetry.logs import printable

HIDDEN = "***"


def options_view(options: ServerOptions) -> dict[str, Any]:
    """All groups by name, durations in seconds. Users are not among them: they have calls of their own."""
    groups = {name: value for name, value in options if name not in ("users", "groups")}
    view = {name: _plain(value, name) for name, value in groups.items()}
    # only the package that provides the storage knows which of these are secrets
    view["backend_options"] = {printable(name): HIDDEN for name in options.backend_options}
    return view


def _plain(value: object, name: str) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case SecretStr():
            return HIDDEN
        case timedelta():
            return value.total_seconds()
        case Path():
            return printable(str(value))
        case BaseModel():
            return {key: _plain(each, key) for key, each in value}
        case Mapping():
            return {printable(str(key)): _plain(each, f"{name}.{key}") for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(each, name) for each in value]
        case Enum():
            return str(value.value)
    return HIDDEN if is_secret(name) else printable(without_url_secrets(str(value)))

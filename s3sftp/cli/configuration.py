"""The flags that several commands share, and their conversion into settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from s3sftp.app.options import Configuration, load_configuration
from s3sftp.config import Setting, SourceFiles, from_toml
from s3sftp.errors import ConfigurationError

F = TypeVar("F", bound=Callable[..., Any])

_PLAIN = {
    "endpoint_url": ("s3", "endpoint_url"),
    "host": ("listen", "host"),
    "port": ("listen", "port"),
    "state_dir": ("server", "state_dir"),
    "log_format": ("log", "format"),
    "log_level": ("log", "level"),
    "backend": ("backend",),
    "workers": ("server", "workers"),
}


def storage_flags(command: F) -> F:
    """`[s3://BUCKET/PREFIX] --config --endpoint-url --state-dir`."""
    for decorate in (
        click.option("--state-dir", help="Where the generated host key is kept."),
        click.option("--endpoint-url", help="Address of an S3-compatible store; default: AWS."),
        click.option(
            "--config",
            "config_file",
            type=click.Path(path_type=Path),
            envvar="S3SFTP_CONFIG",
            help="Configuration file (TOML).",
        ),
        click.argument("bucket_url", metavar="[s3://BUCKET/PREFIX]", required=False),
    ):
        command = decorate(command)
    return command


class ConfigurationReader:
    """Reads a command's configuration from flags, the environment, and the files that these name. May read
    again."""

    def __init__(
        self, config_file: Path | None, bucket_url: str | None, needs_users: bool = True, **flags: Any
    ) -> None:
        """Raises ConfigurationError: if flags contradict each other or have invalid values."""
        self._config_file = config_file
        self._needs_users = needs_users
        self._flags = [*_of_url(bucket_url), *_of_user(flags.pop("user", None), flags)]
        self._kept: list[Setting] | None = None
        """The settings of a configuration file that can be read only once, such as a pipe."""
        for name, path in _PLAIN.items():
            value = flags.get(name)
            if value is not None:
                origin = f"--{name.replace('_', '-')}"
                self._flags.append(Setting(path, value, origin, is_text=True))

    def read(self, sources: SourceFiles, *, again: bool = False) -> Configuration:
        """Read the whole configuration from the files as they are now, and record these files.

        Host keys, which only take effect at a start, are not read again.

        Raises ConfigurationError: if anything in it is wrong.
        """
        return load_configuration(
            self._of_file(sources),
            None,
            self._flags,
            sources,
            needs_users=self._needs_users,
            checks_host_keys=not again,
        )

    def _of_file(self, sources: SourceFiles) -> list[Setting]:
        file = self._config_file
        if file is None or self._kept is not None:
            return self._kept or []
        can_be_read_again = not file.exists() or file.is_file()
        if can_be_read_again:
            sources.note(file)
        settings = from_toml(file)
        if not can_be_read_again:
            self._kept = settings
        return settings


def _of_url(text: str | None) -> list[Setting]:
    if text is None:
        return []
    problem = ConfigurationError([f"{text!r} should be like s3://BUCKET or s3://BUCKET/PREFIX"])
    try:
        url = urlsplit(text)
    except ValueError:  # it has a bracket, which would begin an IPv6 address
        raise problem from None
    if url.scheme != "s3" or not url.netloc or url.query or url.fragment:
        raise problem
    prefix = url.path.removeprefix("/")
    return [Setting(("s3", "bucket"), url.netloc, text), Setting(("s3", "prefix"), prefix, text)]


def _of_user(user: str | None, flags: dict[str, Any]) -> list[Setting]:
    """The user of `--user`, who sees everything below the URL, since there is no other user."""
    keys, password_hash = flags.pop("authorized_keys", None), flags.pop("password_hash", None)
    if user is None:
        stray = [
            name for name, value in (("authorized-keys", keys), ("password-hash", password_hash)) if value
        ]
        if stray:
            raise ConfigurationError([f"--{name} needs --user" for name in stray])
        return []
    found = [Setting(("users", user, "prefix"), "", "--user")]
    if keys is not None:
        found.append(Setting(("users", user, "authorized_keys_file"), str(keys), "--authorized-keys"))
    if password_hash is not None:
        found.append(Setting(("users", user, "password_hash"), password_hash, "--password-hash"))
    return found

"""The command line: each command is a module, loaded when it is called for."""

from __future__ import annotations

from importlib import import_module
from typing import cast

import click

from s3sftp import __version__
from s3sftp.cli.bare_process import import_asyncssh, open_standard_streams

_COMMANDS = ("serve", "demo", "check", "health", "hash-password", "host-key", "partner-sheet")
_HIDDEN = ("template",)


class _Commands(click.Group):
    """Loads a command's module late: hashing a password does not need an S3 client."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in (*_COMMANDS, *_HIDDEN):
            return None
        open_standard_streams()
        import_asyncssh()
        name = cmd_name.replace("-", "_")
        return cast(click.Command, getattr(import_module(f"s3sftp.cli.{name}"), name))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="s3sftp")
def main() -> None:
    """An SFTP server whose storage is an S3 bucket."""

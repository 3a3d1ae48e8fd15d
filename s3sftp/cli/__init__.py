"""The command line: each command is a module, loaded when it is called."""

from __future__ import annotations

import difflib
import gc
import signal
from importlib import import_module
from typing import Any, cast

import click

from s3sftp import __version__
from s3sftp.cli.minimal_environment import import_asyncssh, open_standard_streams

_COMMANDS = (
    "serve",
    "demo",
    "check",
    "health",
    "audit",
    "bans",
    "events",
    "hash-password",
    "host-key",
    "import",
    "partner-sheet",
    "logs",
    "sessions",
    "test-login",
    "top",
    "totp-secret",
    "uploads",
    "users",
)
_HIDDEN = ("template",)
_OTHER_NAMES = {"import": "import_users"}
"""Commands whose names no module can have."""


class _Commands(click.Group):
    """Loads a command's module only when needed: hashing a password does not need an S3 client."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command, and report its failures, whichever command it is."""
        open_standard_streams()
        from s3sftp.cli.error_messages import reported_errors

        with reported_errors():
            return super().main(*args, **kwargs)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in (*_COMMANDS, *_HIDDEN):
            return None
        import_asyncssh()
        name = _OTHER_NAMES.get(cmd_name, cmd_name.replace("-", "_"))
        command = cast(click.Command, getattr(import_module(f"s3sftp.cli.{name}"), name))
        gc.freeze()
        gc.enable()
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # as `s3sftp.__main__` has left it
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments begin with. For an unknown command, the error suggests a similar
        name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            if near:
                raise click.UsageError(f"{error.message} Did you mean '{near[0]}'?", ctx) from None
            raise


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="s3sftp")
def main() -> None:
    """An SFTP server whose storage is an S3 bucket."""

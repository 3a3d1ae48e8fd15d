"""`s3sftp hash-password`: makes a `password_hash`."""

from __future__ import annotations

import sys

import click

from s3sftp import auth


@click.command("hash-password")
@click.option("--stdin", is_flag=True, help="Read the password from standard input (its first line).")
def hash_password(stdin: bool) -> None:
    """Hash a password (Argon2id) for `password_hash` in the configuration."""
    if stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    if not password:
        raise click.ClickException("the password is empty")
    try:
        password.encode()
    except UnicodeEncodeError:
        raise click.ClickException("the password is not UTF-8 text, as clients send it") from None
    click.echo(auth.hash_password(password))

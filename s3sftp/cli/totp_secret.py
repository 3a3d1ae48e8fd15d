"""`s3sftp totp-secret`: makes a `totp_secret` and what the partner's authenticator app takes."""

from __future__ import annotations

import click

from s3sftp.auth import totp, user_name_problem


@click.command("totp-secret")
@click.argument("user")
@click.option(
    "--issuer", default="s3sftp", show_default=True, help="Name that the app shows beside the user's name."
)
def totp_secret(user: str, issuer: str) -> None:
    """Make a secret for verification codes (TOTP) for USER.

    The first line is for the table [users.USER] of the configuration, the second is for the partner: a URI
    that authenticator apps take, as it is or as a QR code. Both are secret. Nothing is stored.
    """
    if (problem := user_name_problem(user)) is not None:
        raise click.BadParameter(problem, param_hint="USER")
    if not issuer.strip() or ":" in issuer or not issuer.isprintable():
        raise click.BadParameter("should be a name without ':'", param_hint="--issuer")
    secret = totp.new_secret()
    click.echo(f'totp_secret = "{secret}"')
    click.echo(totp.provisioning_uri(secret, user, issuer))

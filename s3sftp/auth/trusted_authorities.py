"""Which CAs may certify users' keys: those of `auth.trusted_user_ca_keys`, and `cert-authority` lines of a
user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from s3sftp.auth.authorized_keys import AuthorizedKey, FoundKeys, keys_in
from s3sftp.auth.certificates import Certificate
from s3sftp.auth.key_files import read_key_file
from s3sftp.auth.options import AuthOptions
from s3sftp.config import SourceFiles
from s3sftp.errors import ConfigurationError, LoginRefused


def read_authorities(options: AuthOptions, sources: SourceFiles | None = None) -> tuple[AuthorizedKey, ...]:
    """The CAs that are trusted for all users. A file that is read is recorded in `sources`.

    Raises ConfigurationError: if the file cannot be read, or a key cannot be used; lists each of them.
    """
    problems: list[str] = []
    lines = keys_in("\n".join(options.trusted_user_ca_keys))
    problems += _problems_of(lines, "auth.trusted_user_ca_keys")
    in_file = FoundKeys((), ())
    if (file := options.trusted_user_ca_keys_file) is not None:
        option = f"auth.trusted_user_ca_keys_file = {str(file)!r}"
        try:
            in_file = read_key_file(file, sources)
        except OSError as error:
            problems.append(f"{option}: {error.strerror or error}")
        problems += _problems_of(in_file, option)
    if any(key.principals for key in (*lines.keys, *in_file.keys)):
        # every user would have these names
        problems.append("auth.trusted_user_ca_keys: principals= belongs in a user's own authorized_keys")
    if problems:
        raise ConfigurationError(problems)
    return tuple(replace(key, is_authority=True) for key in (*lines.keys, *in_file.keys))


def _problems_of(found: FoundKeys, option: str) -> list[str]:
    return [f"{option}: {problem}" for problem in found.problems]


def require_certified(
    user: str, keys: Sequence[AuthorizedKey], certificate: Certificate, address: str, now: datetime
) -> None:
    """Return if one of the user's entries is the certificate's CA, and lets it certify this user.

    Raises LoginRefused: otherwise.
    """
    entries = [
        key for key in keys if key.is_authority and key.public_data == certificate.authority.public_data
    ]
    if not entries:
        raise LoginRefused("the CA is not trusted for this user")
    allowed = [entry for entry in entries if entry.holds(address, now)]
    if not allowed:
        raise LoginRefused("the CA's own entry has expired, or does not allow the client's address")
    names = {name for entry in allowed for name in entry.principals or (user,)}
    if names.isdisjoint(certificate.principals):
        raise LoginRefused(
            f"the certificate is for {', '.join(certificate.principals)}, not for {', '.join(sorted(names))}"
        )

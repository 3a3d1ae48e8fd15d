"""Options of the `[auth]` group and of each `[users.NAME]` table."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from s3sftp.auth.passwords import check_hash
from s3sftp.config import DIVIDED, Duration, LocalPath, Options, PositiveDuration

_USER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,99}")
_MAX_PREFIX_CHARS = 900


def user_name_problem(name: str) -> str | None:
    """The problem with a user name; None if it is valid.

    Names become part of prefixes, logs and metrics, so separators and escape sequences are not allowed.
    """
    if _USER_NAME.fullmatch(name) and ".." not in name:
        return None
    return (
        "should be 1 to 100 letters, digits, '_', '-', '.', '@' or '+', "
        "beginning with a letter, digit or '_', without '..'"
    )


def _lines(value: object) -> object:
    """Accept a text as the lines of an authorized_keys file. Commas do not split it: key options contain
    them."""
    return tuple(value.splitlines()) if isinstance(value, str) else value


class AuthOptions(Options):
    """Where users are defined, and how failed logins are refused and banned."""

    users_file: LocalPath | None = None
    """A TOML file with more `[users.NAME]` tables, which keeps secrets apart from the configuration."""
    users_dir: LocalPath | None = None
    """A directory whose `*.toml` files have more `[users.NAME]` tables, for example one file per user. Hidden
    files are not read. The directory may be empty while there are no users yet."""
    ban_failures: int = Field(default=20, ge=0, le=1_000_000)
    """Failed logins from one source within `ban_window` that cause a ban; 0 disables bans. If a load balancer
    hides clients' addresses, have it report them (`listen.proxy_protocol`), or list its own addresses in
    `ssh.shared_sources`: these are not banned."""
    ban_window: Duration = timedelta(minutes=10)
    """How long a failed login counts towards a ban."""
    ban_time: Duration = timedelta(minutes=10)
    """How long a banned source is refused, before any cryptography."""
    max_tracked_sources: int = Field(default=10_000, ge=100, le=10_000_000)
    """Maximum number of sources remembered; the one that has been quiet longest is forgotten first."""
    refusal_time: Duration = timedelta(seconds=0.25)
    """How long the refusal of a password takes, whatever its reason. If recent answers of the authenticator
    took longer, the refusal takes the smallest multiple of this time that covers the slowest of them.
    Refusing a key takes a tenth of it, because agents offer many keys. 0: refusals are sent as soon as they
    are ready."""
    answer_timeout: PositiveDuration = timedelta(seconds=20)
    """A login that the authenticator has not answered within this time is refused."""
    password_threads: Annotated[int, DIVIDED] = Field(default=2, ge=1, le=64)
    """Passwords verified at once; each needs the memory that its hash asks for (64 MiB by default). The
    workers share this number, with at least one each."""


class UserOptions(Options):
    """One user, `[users.NAME]`."""

    password_hash: str | None = None
    """An Argon2id hash from `s3sftp hash-password`. Without it the user has no password."""
    authorized_keys: Annotated[tuple[str, ...], BeforeValidator(_lines)] = ()
    """Lines in OpenSSH's authorized_keys format, with the options `from` and `expiry-time`, or public keys as
    RFC 4716 or PEM blocks. A key that cannot be used causes a warning at start, and the others are used."""
    authorized_keys_file: LocalPath | None = None
    """A file of such keys. It is read again when it changes."""
    prefix: str = "{user}/"
    """The part of the storage that the user sees as `/`, below the prefix of the storage; `{user}` is
    replaced by the user's name. Empty: the whole storage."""
    read_only: bool = False
    """Refuse all operations that change anything."""
    directories: tuple[str, ...] = ()
    """Directories that are listed even while they are empty, such as `["inbox", "outbox"]`."""
    attributes: dict[str, str] = Field(default_factory=dict)
    """Further facts about the user, such as a tenant id; passed to the storage."""

    @field_validator("password_hash")
    @classmethod
    def _usable_hash(cls, text: str | None) -> str | None:
        if text is not None:
            check_hash(text)
        return text

    @field_validator("prefix")
    @classmethod
    def _usable_prefix(cls, text: str) -> str:
        if re.search(r"[{}]", text.replace("{user}", "")):
            raise ValueError("should have no braces but those of {user}")
        if text == "":
            return text
        names = text.removesuffix("/").split("/")
        if any(name in ("", ".", "..") for name in names):
            raise ValueError(
                "should be names separated by single slashes, none of them '.' or '..', none first"
            )
        if not text.isprintable() or "\\" in text or len(text) > _MAX_PREFIX_CHARS:
            raise ValueError(
                f"should be at most {_MAX_PREFIX_CHARS} printable characters without backslashes"
            )
        return "/".join(names) + "/"

    def prefix_of(self, user: str) -> str:
        """The prefix for the user with this name."""
        return self.prefix.replace("{user}", user)

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
    """What is wrong with a user name; None if it can be used.

    Names are put into prefixes, logs and metrics, so there is no room for separators, escapes or tricks.
    """
    if _USER_NAME.fullmatch(name) and ".." not in name:
        return None
    return (
        "should be 1 to 100 letters, digits, '_', '-', '.', '@' or '+', "
        "beginning with a letter, digit or '_', without '..'"
    )


def _lines(value: object) -> object:
    """A text is taken for the lines of an authorized_keys file. Not split at commas: options have them."""
    return tuple(value.splitlines()) if isinstance(value, str) else value


class AuthOptions(Options):
    """Who may come in, and what happens to those who keep guessing."""

    users_file: LocalPath | None = None
    """A TOML file with more `[users.NAME]` tables, so that secrets can live apart from the configuration."""
    users_dir: LocalPath | None = None
    """A directory whose files `*.toml` have more `[users.NAME]` tables, such as one for each user. Hidden
    files are not read. It may be empty while there are no users yet."""
    ban_failures: int = Field(default=20, ge=0, le=1_000_000)
    """Failed logins of one source within `ban_window` that get it banned; 0 turns bans off. Where a
    load balancer hides clients' addresses, have it tell them (`listen.proxy_protocol`), or name its own in
    `ssh.shared_sources`: they are not banned."""
    ban_window: Duration = timedelta(minutes=10)
    """How long a failed login counts."""
    ban_time: Duration = timedelta(minutes=10)
    """How long a banned source is refused, before any cryptography."""
    max_tracked_sources: int = Field(default=10_000, ge=100, le=10_000_000)
    """Sources remembered at once; the one quiet for longest is forgotten first."""
    refusal_time: Duration = timedelta(seconds=0.25)
    """How long it takes to refuse a password: so long, or the multiple of it that the slowest answers lately
    needed, whatever the reason is. A tenth of it for a key, as agents offer many. 0: refusals leave when
    they are ready."""
    answer_timeout: PositiveDuration = timedelta(seconds=20)
    """Who has no answer from the authenticator by then is refused."""
    password_threads: Annotated[int, DIVIDED] = Field(default=2, ge=1, le=64)
    """Passwords verified at once; each takes the memory its hash asks for (64 MiB by default). Workers share
    them, and have one each at least."""


class UserOptions(Options):
    """One user, `[users.NAME]`."""

    password_hash: str | None = None
    """Made by `s3sftp hash-password` (Argon2id). Without it the user has no password."""
    authorized_keys: Annotated[tuple[str, ...], BeforeValidator(_lines)] = ()
    """Lines of OpenSSH's authorized_keys format, with the options `from` and `expiry-time`, or public keys in
    blocks of RFC 4716 or PEM. One that cannot be used is a warning at start, and the others count."""
    authorized_keys_file: LocalPath | None = None
    """A file of such keys. Read again when it changes."""
    prefix: str = "{user}/"
    """Where in the storage the user's `/` is, below the prefix of the storage; `{user}` is the name. Empty
    for all of it."""
    read_only: bool = False
    """Refuse everything that changes something."""
    directories: tuple[str, ...] = ()
    """Directories that are shown even while nothing is in them, such as `["inbox", "outbox"]`."""
    attributes: dict[str, str] = Field(default_factory=dict)
    """Anything else that is known about the user, such as a tenant id; handed to the storage."""

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
        """The prefix of the user with this name."""
        return self.prefix.replace("{user}", user)

"""Options of each `[users.NAME]` and `[groups.NAME]` table."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator

from s3sftp.auth.passwords import check_hash
from s3sftp.config import LocalPath, Options

_USER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,99}")
USER_NAME_PATTERN = rf"^(?!.*\.\.){_USER_NAME.pattern}$"
"""The names of users and groups, for JSON Schema."""
_MAX_PREFIX_CHARS = 900
_PREFIX = WithJsonSchema(
    {
        "type": "string",
        "maxLength": _MAX_PREFIX_CHARS,
        # names separated by single slashes, none of them `.` or `..`, with no braces but those of the user
        "pattern": r"^((?!\.{1,2}(/|$))([^/{}\\\x00-\x1f\x7f]|\{user\})+(/|$))*$",
    }
)
_ONE_OR_MORE = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})


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


def with_user(text: str, user: str) -> str:
    """The text with the user's name for `${user}` and `{user}`."""
    return text.replace("${user}", user).replace("{user}", user)


def _lines(value: object) -> object:
    """Accept a text as the lines of an authorized_keys file. Commas do not split it: key options contain
    them."""
    return tuple(value.splitlines()) if isinstance(value, str) else value


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class GroupOptions(Options):
    """What users have in common, `[groups.NAME]`: a user of the group has these options unless the user's own
    table says otherwise. Tables are merged name by name; lists are replaced."""

    group: Annotated[
        tuple[str, ...],
        BeforeValidator(_one_or_more),
        _ONE_OR_MORE,
    ] = ()
    """The name of a group, or a list of them, whose options apply. Those of a later one override those of an
    earlier one."""
    prefix: Annotated[str, _PREFIX] = "{user}/"
    """The part of the storage that the user sees as `/`, below the prefix of the storage; `${user}` or
    `{user}` is replaced by the user's name. Empty: the whole storage."""
    read_only: bool = False
    """Refuse all operations that change anything."""
    directories: tuple[str, ...] = ()
    """Directories that are listed even while they are empty, such as `["inbox", "outbox"]`."""
    attributes: dict[str, str] = Field(default_factory=dict)
    """Further facts about the user, such as a tenant id; passed to the storage."""

    @field_validator("prefix")
    @classmethod
    def _usable_prefix(cls, text: str) -> str:
        if re.search(r"[{}]", with_user(text, "")):
            raise ValueError("should have no braces but those of ${user}")
        if text == "":
            return text
        names = text.removesuffix("/").split("/")
        if any(name in ("", ".", "..") for name in names):
            raise ValueError(
                "should be names separated by single slashes, none of them '.' or '..', none first: a prefix"
                " stays below that of the storage"
            )
        if not text.isprintable() or "\\" in text or len(text) > _MAX_PREFIX_CHARS:
            raise ValueError(
                f"should be at most {_MAX_PREFIX_CHARS} printable characters without backslashes"
            )
        return "/".join(names) + "/"

    def prefix_of(self, user: str) -> str:
        """The prefix for the user with this name."""
        return with_user(self.prefix, user)


class UserOptions(GroupOptions):
    """One user, `[users.NAME]`."""

    password_hash: str | None = None
    """An Argon2id hash from `s3sftp hash-password`. Without it the user has no password."""
    authorized_keys: Annotated[tuple[str, ...], BeforeValidator(_lines), _ONE_OR_MORE] = ()
    """Lines in OpenSSH's authorized_keys format, with the options `from` and `expiry-time`, or public keys as
    RFC 4716 or PEM blocks. A key that cannot be used causes a warning at start, and the others are used."""
    authorized_keys_file: LocalPath | None = None
    """A file of such keys. It is read again when it changes."""

    @field_validator("password_hash")
    @classmethod
    def _usable_hash(cls, text: str | None) -> str | None:
        if text is not None:
            check_hash(text)
        return text

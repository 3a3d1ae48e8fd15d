"""Users of the configuration: what they may."""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeInt

from s3sftp.admin.api_models.common import ApiAnswer


class UserEntry(ApiAnswer):
    """A user of the configuration."""

    name: str
    source: str
    enabled: bool
    """Whether the user may log in now, as far as the account says."""
    methods: list[str]
    """The combinations of methods that log in, such as `publickey` or `publickey+totp`."""


class UserList(ApiAnswer):
    """The users of the configuration. Users of other sources are known to these alone."""

    items: list[UserEntry]


class UserRule(ApiAnswer):
    """What a user may do at a path and below."""

    kind: Literal["mount", "file", "listing", "path"]
    path: str
    storage: str | None = None
    """Where the mount leads, such as `s3://bucket/prefix/`."""
    rights: list[str]
    allow: list[str]
    deny: list[str]
    hide: list[str]
    max_file_bytes: NonNegativeInt | None
    on_conflict: str


class UserDetail(UserEntry):
    """What a user may, after groups and defaults. Of secrets there is nothing."""

    reason: str | None = None
    """Why the user may not log in now."""
    has_password: bool
    has_second_factor: bool
    keys: NonNegativeInt
    limits: dict[str, int | float]
    """The limits in force; what is not here is not limited."""
    rules: list[UserRule]
    attributes: list[str]
    """Names of attributes; values may be secrets."""

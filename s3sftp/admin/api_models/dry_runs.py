"""Logins, and operations after them, that are only tried."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from s3sftp.admin.api_models.common import ApiAnswer, ApiInput, Text

MAX_TRIES = 20
"""The largest number of operations in a dry run."""


class DryRunRequest(ApiInput):
    """A login, and operations after it, that are only tried."""

    key: Annotated[str, StringConstraints(max_length=16384)] | None = None
    """A public key or certificate as in `authorized_keys` or `.pub`. Without one, the login is taken for
    granted as far as methods go, and only the account and the operations are judged."""
    from_: Annotated[str, StringConstraints(max_length=64)] = Field(default="", alias="from")
    """The address of the client; empty: unknown."""
    tries: list[Text] = Field(default=[], alias="try", max_length=MAX_TRIES)
    """Operations such as `put /inbox/x.csv`, as `s3sftp test-login --try` takes them."""
    methods: list[Literal["publickey", "password", "totp"]] | None = Field(default=None, max_length=3)
    """The methods that the client is taken to prove, without `key`; default: those that the user needs."""


class DryRunResult(ApiAnswer):
    """What `s3sftp test-login` says, as its `--json`."""

    user: str
    accepted: bool
    """Whether the login would be."""
    all_allowed: bool
    """Whether the login and every operation would be accepted, as far as that is known."""
    source: str | None
    credentials: list[dict[str, Any]]
    missing: list[str]
    ban: dict[str, Any]
    rules: list[dict[str, Any]]
    operations: list[dict[str, Any]]
    reason: str | None = None
    """Why the login would be refused, if it was taken for granted."""
    not_checked: list[str]

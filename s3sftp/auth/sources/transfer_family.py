"""Maps answers in the form of AWS Transfer Family's custom identity providers to tables of users. Pure.

Fields and their meaning: AWS Transfer Family User Guide, "Using AWS Lambda to integrate your identity
provider", response values. AWS accepts a login if and only if `Role` is not blank.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from s3sftp.auth.mount_roles import MountRoles
from s3sftp.backends.mount_role import role_problem
from s3sftp.config.problems import describe


class AnswerProblem(Exception):
    """The answer of a source of users cannot be used; the text says why, for the operator."""


class GrantOptions(Protocol):
    """What to do with limits that the server does not enforce by itself: options of a source."""

    @property
    def role(self) -> Literal["refuse", "ignore", "assume"]:
        """For a `Role`."""

    @property
    def policy(self) -> Literal["refuse", "ignore"]:
        """For a `Policy`."""


@dataclass(frozen=True, slots=True)
class UserHomes:
    """Where in the storage users' directories may be."""

    bucket: str
    """The bucket that answers name; empty if the storage is none."""
    prefix: str = ""
    """The storage's own prefix in the bucket, empty or ending in `/`."""
    reserved: str = ""
    """A directory at the top of the storage that no user may have; empty if there is none."""
    storages: Mapping[str, tuple[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    """Bucket and prefix of the further storages, by name."""
    roles: MountRoles = field(default_factory=lambda: MappingProxyType({}))
    """The roles that mounts in each storage may have."""

    def place_of(self, path: str, *, file: bool = False) -> dict[str, str]:
        """The options `prefix` and, unless it is the storage without a name, `storage` of a mount for a path
        such as `/bucket/acme/inbox`.

        Raises AnswerProblem: if it is in the bucket of no storage, or not below a storage's prefix.
        """
        bucket, key = _bucket_and_key(path)
        for name, (other, prefix) in self.storages.items():
            if bucket and bucket == other != self.bucket and (below := _below(prefix, key, file)) is not None:
                _refuse_braces(path)
                return {"prefix": below, "storage": name}
        return {"prefix": self.prefix_of(path, file=file)}

    def prefix_of(self, path: str, *, file: bool = False) -> str:
        """The prefix in the storage without a name for a path such as `/bucket/acme/inbox`, or the key for
        that of a file.

        Raises AnswerProblem: if it is not in the bucket, or not below the storage's prefix.
        """
        if not self.bucket:
            raise AnswerProblem("the storage is no bucket, so the answer should have `user.prefix` instead")
        bucket, key = _bucket_and_key(path)
        if not bucket:
            raise AnswerProblem(f"{path[:200]!r} should be a directory like '/{self.bucket}/partners/acme'")
        if bucket != self.bucket:
            raise AnswerProblem(f"{path[:200]!r} is not in the bucket {self.bucket}")
        _refuse_braces(path)
        if (below := _below(self.prefix, key, file)) is None:
            raise AnswerProblem(f"{path[:200]!r} is not below s3.prefix, {self.prefix!r}")
        return below

    def check(self, prefix: str) -> None:
        """Raises AnswerProblem: if no user may have this prefix or key."""
        if self.reserved and prefix.split("/")[0] == self.reserved:
            raise AnswerProblem(f"the directory {self.reserved} is the server's own, no user's")


def _bucket_and_key(path: str) -> tuple[str, str]:
    """Both parts of a path such as `/bucket/acme`; no bucket if it is none."""
    bucket, _, key = path.removeprefix("/").partition("/")
    return (bucket, key) if path.startswith("/") else ("", "")


def _below(prefix: str, key: str, file: bool) -> str | None:
    """What is behind the prefix in the key of a file, or in the prefix of a directory; None if it is not
    below the prefix."""
    whole = key if file or not key or key.endswith("/") else f"{key}/"
    return whole.removeprefix(prefix) if whole.startswith(prefix) else None


def _refuse_braces(path: str) -> None:
    if any(brace in path for brace in "{}"):
        raise AnswerProblem(f"{path[:200]!r} should have no braces")


class _Answer(BaseModel):
    """The fields that have a meaning here. AWS ignores others, so they restrict nothing."""

    model_config = ConfigDict(strict=True, frozen=True)

    Role: str = ""
    Policy: str = ""
    HomeDirectory: str = "/"
    HomeDirectoryType: Literal["PATH", "LOGICAL", ""] = ""
    HomeDirectoryDetails: str = ""
    PublicKeys: list[str] = Field(default_factory=list)


class _Entry(BaseModel):
    """One entry of HomeDirectoryDetails."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    Entry: str
    Target: str
    Type: Literal["FILE", "DIRECTORY"] = "DIRECTORY"


_ENTRIES = TypeAdapter(list[_Entry])


def table_of(
    answer: Mapping[str, Any], options: GrantOptions, home: UserHomes, group: str = "hook"
) -> Mapping[str, Any] | None:
    """The table of the user whom the answer describes. None: the source has refused the login. `group` is the
    name of the options, for texts.

    Raises AnswerProblem: if the answer cannot be honoured.
    """
    try:
        fields = _Answer.model_validate({name: value for name, value in answer.items() if value is not None})
    except ValidationError as errors:
        raise AnswerProblem(_problems(errors)) from None
    if not fields.Role.strip():
        return None
    _refuse_what_is_not_honoured(fields, options, group)
    tree = _tree(fields, home)
    if options.role == "assume":
        tree = _with_role(tree, fields.Role)
    return {**tree, "authorized_keys": fields.PublicKeys}


def _with_role(tree: Mapping[str, Any], role: str) -> Mapping[str, Any]:
    """The tree as mounts that are all reached with the role."""
    if (problem := role_problem(role)) is not None:
        raise AnswerProblem(f"Role: {problem}")
    mounts = dict(tree.get("mounts", {}))
    if "prefix" in tree:
        mounts["/"] = {"prefix": tree["prefix"]}
    return {"mounts": {path: {**mount, "role_arn": role} for path, mount in mounts.items()}}


def _refuse_what_is_not_honoured(fields: _Answer, options: GrantOptions, group: str) -> None:
    if options.role == "refuse":
        raise AnswerProblem(
            f'it has a Role: {group}.role = "assume" has the server assume it, and {group}.role = "ignore"'
            " accepts such logins with the server's own credentials"
        )
    if fields.Policy.strip() and options.policy == "refuse":
        raise AnswerProblem(
            f'it has a Policy, which the server does not apply: {group}.policy = "ignore" accepts such'
            " logins, limited by the home directory alone"
        )


def _tree(fields: _Answer, home: UserHomes) -> Mapping[str, Any]:
    """What the user's paths lead to: the options `prefix` and `mounts`."""
    if fields.HomeDirectoryType == "PATH" and fields.HomeDirectoryDetails:
        raise AnswerProblem("HomeDirectoryDetails are for the HomeDirectoryType LOGICAL, not PATH")
    if fields.HomeDirectoryType == "LOGICAL" or fields.HomeDirectoryDetails:
        return _logical_tree(fields.HomeDirectoryDetails, home)
    try:
        place = home.place_of(fields.HomeDirectory)
    except AnswerProblem as problem:
        raise AnswerProblem(f"HomeDirectory: {problem}") from None
    return {"mounts": {"/": place}} if "storage" in place else place


def _logical_tree(details: str, home: UserHomes) -> Mapping[str, Any]:
    """What logical directories lead to. Without an entry for `/`, nothing is stored there."""
    try:
        entries = _ENTRIES.validate_python(json.loads(details))
    except ValidationError as errors:
        raise AnswerProblem(f"HomeDirectoryDetails: {_problems(errors)}") from None
    except (ValueError, RecursionError):
        raise AnswerProblem(
            'HomeDirectoryDetails should be a text of JSON like [{"Entry":"/","Target":"/bucket/acme"}]'
        ) from None
    mounts: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if not entry.Entry.startswith("/") or entry.Entry in mounts:
            raise AnswerProblem(
                f"HomeDirectoryDetails: Entry {entry.Entry[:200]!r} should begin with '/', and be there once"
            )
        file = entry.Type == "FILE"
        try:
            mounts[entry.Entry] = {**home.place_of(entry.Target, file=file), "file": file}
        except AnswerProblem as problem:
            raise AnswerProblem(f"HomeDirectoryDetails: Target {problem}") from None
    if not mounts:
        raise AnswerProblem("HomeDirectoryDetails has no entry")
    root = mounts.get("/")
    if root is None or root["file"] or "storage" in root:
        return {"mounts": mounts}
    return {"prefix": mounts.pop("/")["prefix"], "mounts": mounts}


def _problems(errors: ValidationError) -> str:
    found = errors.errors(include_url=False, include_context=False)
    return "; ".join(describe(error, tuple(map(str, error["loc"])), None, ()) for error in found[:5])

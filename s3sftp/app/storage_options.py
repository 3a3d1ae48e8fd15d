"""Finds what is wrong between the storages of a configuration. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any
from urllib.parse import urlsplit

from s3sftp.auth import Accounts, Identity
from s3sftp.auth.mount_roles import MountRoles
from s3sftp.backends.s3 import S3Options
from s3sftp.backends.s3.keys import KeyMapping
from s3sftp.backends.s3.session_policy import MAX_POLICY_CHARACTERS, user_scopes
from s3sftp.errors import ConfigurationError, StorageError


def storage_problems(values: Mapping[str, Any]) -> list[str]:
    """The problems of `[storages.NAME]` that are valid only by themselves. `values` are the groups that are
    valid, by name."""
    storages: Mapping[str, S3Options] = values.get("storages") or {}
    if not storages:
        return []
    if values.get("backend", "s3") != "s3":
        return ["storages: further buckets are possible beside a bucket only, with backend = 's3'"]
    named = {f"storages.{name}": options for name, options in storages.items()}
    main = values.get("s3")
    return list(_overlaps({"s3": main, **named} if main is not None else named))


def mount_roles_of(values: Mapping[str, Any]) -> MountRoles:
    """The roles that mounts may have, by storage. `values` are the groups that are valid, by name: storages
    whose options are not valid are missing. A storage that is no bucket has none."""
    if values.get("backend", "s3") != "s3":
        return {"": ()}
    given = {"": values.get("s3"), **(values.get("storages") or {})}
    return {name: options.mount_roles for name, options in given.items() if options is not None}


def policy_problems(values: Mapping[str, Any], accounts: Accounts) -> list[str]:
    """The problem of each user whose session policy would be longer than STS takes."""
    given = {"": values.get("s3"), **(values.get("storages") or {})}
    enforced = {name: options for name, options in given.items() if options and options.has_user_sessions}
    if not enforced:
        return []
    return [
        problem
        for user, account in accounts.items()
        for name, options in enforced.items()
        for problem in _policy_problem(user, account.identity, name, options)
    ]


def _policy_problem(user: str, identity: Identity, name: str, options: S3Options) -> Iterator[str]:
    try:
        grants = [each for each in identity.tree().grants() if each.place.storage == name]
        scopes = user_scopes(user, grants, options, KeyMapping(options.prefix))
    except (ConfigurationError, StorageError):
        return  # a mount that cannot be is named elsewhere
    where = f"[{f'storages.{name}' if name else 's3'}]"
    for role, scope in scopes.items():
        if scope is None or len(scope.policy) <= MAX_POLICY_CHARACTERS:
            continue
        what, instead = (where, "session_policies = false") if role is None else (role.arn, "several roles")
        yield (
            f"users.{user}: the session policy for {what} has {len(scope.policy)} characters, and STS takes"
            f" {MAX_POLICY_CHARACTERS}: fewer mounts or shorter prefixes, or {instead}"
        )


def _overlaps(storages: Mapping[str, S3Options]) -> Iterator[str]:
    """One object must be in one storage: each remembers what it has seen and changed, without the others."""
    for (one, first), (other, second) in combinations(storages.items(), 2):
        is_same = (_address(first), first.bucket) == (_address(second), second.bucket)
        if is_same and (first.prefix.startswith(second.prefix) or second.prefix.startswith(first.prefix)):
            yield (
                f"[{other}] and [{one}] overlap: bucket {first.bucket!r} with prefixes {second.prefix!r} and"
                f" {first.prefix!r}; a file must be in one storage: use one with mounts, or other prefixes"
            )


def place_identity(s3: S3Options, key: str) -> str:
    """What all replicas call a place in a bucket: with the store, as two may have buckets of one name."""
    return "\0".join((_address(s3), s3.bucket, f"{s3.prefix}{key}"))


def _address(options: S3Options) -> str:
    """Which store it is. Names of buckets are unique in AWS, whatever endpoint is used."""
    url = (options.endpoint_url or "").rstrip("/").lower()
    return "" if (urlsplit(url).hostname or "").endswith(".amazonaws.com") else url

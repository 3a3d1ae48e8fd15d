"""Finds what is wrong between the storages of a configuration. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from s3sftp.backends.s3 import S3Options


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


def _overlaps(storages: Mapping[str, S3Options]) -> Iterator[str]:
    """One object must be in one storage: each remembers what it has seen and changed, without the others."""
    for (one, first), (other, second) in combinations(storages.items(), 2):
        is_same = (_address(first), first.bucket) == (_address(second), second.bucket)
        if is_same and (first.prefix.startswith(second.prefix) or second.prefix.startswith(first.prefix)):
            yield (
                f"[{other}] and [{one}] overlap: bucket {first.bucket!r} with prefixes {second.prefix!r} and"
                f" {first.prefix!r}; a file must be in one storage: use one with mounts, or other prefixes"
            )


def _address(options: S3Options) -> str:
    return (options.endpoint_url or "").rstrip("/").lower()

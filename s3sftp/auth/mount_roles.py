"""Finds mounts whose role their storage does not let mounts name. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from s3sftp.backends.mount_role import is_allowed_role
from s3sftp.fs import Mount

MountRoles = Mapping[str, Sequence[str]]
"""The `mount_roles` of each storage that is known, by its name; that of `[s3]` has none."""


def refused_roles(mounts: Iterable[Mount], roles: MountRoles) -> Iterator[tuple[str, str]]:
    """The path of each mount whose role is refused, and why. Storages that are not known refuse none."""
    for mount in mounts:
        if mount.role is None or mount.storage not in roles:
            continue
        if not is_allowed_role(mount.role.arn, roles[mount.storage]):
            where = f"storages.{mount.storage}" if mount.storage else "s3"
            yield mount.path, f"role_arn = {mount.role.arn!r}: {where}.mount_roles does not have this role"

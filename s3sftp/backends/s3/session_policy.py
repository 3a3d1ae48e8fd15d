"""Makes the session policies of a user: the prefixes of the mounts, and what may be done there. Pure.

    every mount                             read, and list its prefix: the server has to know what exists
    with delete, rmdir or rename            remove too
    with any right that stores something    store and remove too: a rename is a copy and a removal

Mounts with roles of their own have a policy for each role: it is about the mounts with this role alone.

Finer rights, name patterns and sizes are the server's own business: an upload by a user who may neither read
nor list still takes requests that do.

Sources: Amazon S3 User Guide, "Policy actions for Amazon S3"; IAM User Guide, "Session policies".
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from s3sftp.backends.contract import Grant
from s3sftp.backends.mount_role import MountRole
from s3sftp.backends.s3.bucket_names import is_arn
from s3sftp.backends.s3.credentials.user_scope import UserScope
from s3sftp.backends.s3.keys import KeyMapping
from s3sftp.backends.s3.options import S3Options

MAX_POLICY_CHARACTERS: Final = 2048
"""The longest session policy that AssumeRole takes."""
_MAX_NAME: Final = 64
"""The longest RoleSessionName."""
_READ: Final = ("s3:GetObject", "s3:GetObjectTagging")
_STORE: Final = (
    "s3:PutObject",
    "s3:PutObjectTagging",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
)
_REMOVE: Final = ("s3:DeleteObject",)
_SPECIAL: Final = re.compile(r"[*?$]")


def user_scopes(
    user: str, grants: Sequence[Grant], options: S3Options, keys: KeyMapping
) -> Mapping[MountRole | None, UserScope | None]:
    """What the roles are assumed with for a user with these grants, all in this storage: a scope for each
    role that a grant has. None: requests are signed as the server's own, without a policy."""
    by_role: dict[MountRole | None, list[Grant]] = {}
    for grant in grants:
        by_role.setdefault(grant.role, []).append(grant)
    return {
        role: UserScope(session_name(user), session_policy(here, options, keys), role)
        if role is not None or options.session_policies
        else None
        for role, here in by_role.items()
    }


def session_name(user: str) -> str:
    """A RoleSessionName that contains the user's name, or its beginning and a digest if it is too long."""
    text = re.sub(r"[^\w+=,.@-]", "-", user, flags=re.ASCII)
    name = f"s3sftp-{text}"
    if len(name) <= _MAX_NAME and text == user:
        return name
    digest = hashlib.sha256(user.encode()).hexdigest()[:8]
    return f"{name[: _MAX_NAME - 9]}-{digest}"


def session_policy(grants: Sequence[Grant], options: S3Options, keys: KeyMapping) -> str:
    """The policy, as JSON. All grants have the same role."""
    partition = _partition(grants[0].role.arn if grants and grants[0].role else options.role_arn)
    bucket = options.bucket if is_arn(options.bucket) else f"arn:{partition}:s3:::{options.bucket}"
    objects = f"{bucket}/object" if is_arn(options.bucket) else bucket

    def files(chosen: Iterable[Grant]) -> list[str]:
        return sorted({f"{objects}/{_pattern(each, keys)}" for each in chosen})

    # whether an empty directory is a file is found out by a HEAD for the name without a slash
    roots = [each.place for each in grants if not each.file and not each.place.is_root]
    names = sorted({f"{objects}/{_literal(keys.key_of(place))}" for place in roots})

    store = [each for each in grants if each.stores or (each.removes and options.keep_empty_directories)]
    remove = [each for each in grants if each.stores or each.removes]
    acl = () if options.acl is None else ("s3:PutObjectAcl",)
    statements = [
        _allow(_READ, [*names, *files(grants)]),
        *([_allow((*_STORE, *acl), files(store))] if store else []),
        *([_allow(_REMOVE, files(remove))] if remove else []),
        {
            **_allow(("s3:ListBucket",), [bucket]),
            "Condition": {"StringLike": {"s3:prefix": _listed(grants, keys)}},
        },
    ]
    if options.endpoint_url is None:
        via_s3 = {"StringLike": {"kms:ViaService": "s3.*"}}
        statements.append({**_allow(("kms:Decrypt", "kms:GenerateDataKey"), ["*"]), "Condition": via_s3})
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))


def _allow(actions: Sequence[str], resources: Sequence[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}


def _partition(role_arn: str | None) -> str:
    partition = (role_arn or "").split(":")[1:2]
    return partition[0] if partition and partition[0].startswith("aws") else "aws"


def _pattern(grant: Grant, keys: KeyMapping) -> str:
    """The keys of a grant, as a policy writes them."""
    if grant.file:
        return _literal(keys.key_of(grant.place))
    return f"{_literal(keys.prefix_of(grant.place))}*"


def _listed(grants: Sequence[Grant], keys: KeyMapping) -> list[str]:
    """The prefixes that may be listed. That of a single file shows whether it is a directory."""
    found = set()
    for grant in grants:
        found.add(_pattern(grant, keys))
        if grant.file:
            found.add(f"{_literal(keys.key_of(grant.place))}/*")
    return sorted(found)


def _literal(key: str) -> str:
    """A key in which no character is a wildcard or a policy variable."""
    return _SPECIAL.sub(lambda found: f"${{{found.group()}}}", key)

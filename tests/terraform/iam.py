"""What a request to S3 needs of IAM, and whether a policy allows it.

Which request needs which actions is AWS's to say: on the page "Required permissions for Amazon S3 API
operations" of the user guide of S3, and for keys of KMS on the page about SSE-KMS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from testbed.request_log import Seen

Statement = Mapping[str, Any]
KEY_ARN = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"

READS = {"GetObject": "s3:GetObject", "HeadObject": "s3:GetObject", "GetObjectTagging": "s3:GetObjectTagging"}
COPIES = {"CopyObject": "s3:PutObject", "UploadPartCopy": "s3:PutObject"}
ON_FILES = {
    **READS,
    **COPIES,
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "ListParts": "s3:ListMultipartUploadParts",
    "DeleteObject": "s3:DeleteObject",
}
ON_BUCKETS = {
    "ListObjectsV2": "s3:ListBucket",
    "ListObjects": "s3:ListBucket",
    "HeadBucket": "s3:ListBucket",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "GetBucketVersioning": "s3:GetBucketVersioning",
}
BY_HEADER = {"x-amz-tagging": "s3:PutObjectTagging", "x-amz-acl": "s3:PutObjectAcl"}
BY_KEY = {
    "kms:Decrypt": {"GetObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", *COPIES},
    "kms:GenerateDataKey": {"PutObject", "CreateMultipartUpload", "UploadPart", *COPIES},
}
"""What S3 asks KMS for in the name of who sends a request, for files that are encrypted with a key."""


@dataclass(frozen=True)
class Need:
    """An action on a resource, and what IAM knows of the request besides."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict, hash=False)


def needs_of(seen: Seen, bucket_arn: str) -> list[Need]:
    """What a recorded request needs, as if it had been sent to the bucket `bucket_arn`.

    Raises LookupError for a request that these tables do not know.
    """
    if seen.api == "DeleteObjects":
        keys = re.findall(r"<Key>([^<]*)</Key>", seen.body.decode())
        return [Need("s3:DeleteObject", f"{bucket_arn}/{key}") for key in keys]
    if seen.api in ON_BUCKETS:
        context = {"s3:prefix": seen.query["prefix"]} if "prefix" in seen.query else {}
        return [Need(ON_BUCKETS[seen.api], bucket_arn, context)]
    if seen.api not in ON_FILES:
        raise LookupError(f"{seen.method} {seen.path} {seen.query}: which action does {seen.api} need?")
    file = f"{bucket_arn}/{seen.key}"
    found = [Need(ON_FILES[seen.api], file)]
    found += [Need(action, file) for header, action in BY_HEADER.items() if header in seen.headers]
    if seen.api in COPIES:
        source = f"{bucket_arn}/{seen.copy_source.lstrip('/').partition('/')[2]}"
        found.append(Need("s3:GetObject", source))
        if seen.api == "CopyObject":  # takes the tags along, if there are any
            found += [Need("s3:GetObjectTagging", source), Need("s3:PutObjectTagging", file)]
    context = {"kms:ViaService": "s3.eu-central-1.amazonaws.com", "kms:EncryptionContext:aws:s3:arn": file}
    return found + [Need(action, KEY_ARN, context) for action, apis in BY_KEY.items() if seen.api in apis]


def allows(policy: Iterable[Statement], need: Need, tags: Mapping[str, str] | None = None) -> bool:
    """Whether a policy of `Allow` statements allows it, to a session with these tags."""
    return any(_allows(statement, need, tags or {}) for statement in policy)


def _allows(statement: Statement, need: Need, tags: Mapping[str, str]) -> bool:
    assert statement["Effect"] == "Allow"
    assert set(statement.get("Condition", {})) <= {"StringLike"}, "a condition that is not understood here"
    conditions = statement.get("Condition", {}).get("StringLike", {})
    return (
        need.action in listed(statement["Action"])
        and _fits(statement["Resource"], need.resource, tags)
        and all(
            key in need.context and _fits(patterns, need.context[key], tags)
            for key, patterns in conditions.items()
        )
    )


def _fits(patterns: Any, text: str, tags: Mapping[str, str]) -> bool:
    return any(re.fullmatch(_expression(pattern, tags), text, re.S) for pattern in listed(patterns))


def _expression(pattern: str, tags: Mapping[str, str]) -> str:
    """The pattern of a policy as a regular expression: `*`, `?` and the tags of the session."""
    parts = re.split(r"(\*|\?|\$\{aws:PrincipalTag/\w+\})", pattern)
    return "".join(_piece(part, tags) for part in parts)


def _piece(part: str, tags: Mapping[str, str]) -> str:
    if part.startswith("${"):
        # a session without the tag is allowed nothing
        return re.escape(tags.get(part.removeprefix("${aws:PrincipalTag/").removesuffix("}"), "\0"))
    return {"*": ".*", "?": "."}.get(part, re.escape(part))


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def actions_of(policy: Iterable[Statement]) -> list[str]:
    return [action for statement in policy for action in listed(statement["Action"])]

"""Lists the IAM permissions that the server's role needs for each request.

The supervisor imports this module, so it does not import botocore.
"""

from __future__ import annotations

from collections.abc import Mapping

PERMISSIONS: Mapping[str, str] = {
    "ListObjectsV2": "s3:ListBucket on the bucket, for the prefix",
    "ListObjects": "s3:ListBucket on the bucket, for the prefix",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads on the bucket",
    # S3 reports that a name does not exist only to roles that may list the bucket.
    "HeadObject": "s3:GetObject below the prefix, and s3:ListBucket",
    "GetObject": "s3:GetObject below the prefix, and s3:ListBucket",
    "GetObjectTagging": "s3:GetObjectTagging below the prefix",
    "PutObject": "s3:PutObject below the prefix",
    "CopyObject": "s3:GetObject and s3:PutObject below the prefix, "
    "and for files with tags s3:GetObjectTagging and s3:PutObjectTagging",
    "CreateMultipartUpload": "s3:PutObject below the prefix",
    "UploadPart": "s3:PutObject below the prefix",
    "UploadPartCopy": "s3:GetObject and s3:PutObject below the prefix",
    "CompleteMultipartUpload": "s3:PutObject below the prefix",
    "AbortMultipartUpload": "s3:AbortMultipartUpload below the prefix",
    "ListParts": "s3:ListMultipartUploadParts below the prefix",
    "DeleteObject": "s3:DeleteObject below the prefix",
    "DeleteObjects": "s3:DeleteObject below the prefix",
    "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration on the bucket",
    "GetBucketVersioning": "s3:GetBucketVersioning on the bucket",
}
"""Permissions by API name, in the terms of IAM's actions."""


def permission_for(api: str) -> str:
    """Return the permission that a request needs."""
    return PERMISSIONS.get(api, f"what {api} needs")

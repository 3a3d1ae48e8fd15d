"""Validates `s3.bucket`: the name of a bucket, or an access point that S3 accepts in its place. Pure.

    lab                                                    a bucket, or the alias of an access point
    lab--use1-az4--x-s3                                    a directory bucket: signed for a session
    arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME             an access point
    arn:aws:s3::ACCOUNT:accesspoint/NAME.mrap              a multi-region one: signed by SigV4A
    arn:aws:s3-outposts:REGION:ACCOUNT:outpost/ID/accesspoint/NAME
    arn:aws:s3-object-lambda:REGION:ACCOUNT:accesspoint/NAME

botocore refuses anything else at each request. This module refuses it once, with a text that names the
correction.
"""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"[a-zA-Z0-9.\-_]{1,255}")
_ACCESS_POINT: Final = re.compile(
    r"arn:aws[^:]*:(s3|s3-object-lambda):[a-z\-0-9]*:[0-9]{12}:accesspoint[/:][a-zA-Z0-9\-.]{1,63}"
)
_OUTPOST: Final = re.compile(
    r"arn:aws[^:]*:s3-outposts:[a-z\-0-9]+:[0-9]{12}:outpost[/:][a-zA-Z0-9\-]{1,63}[/:]accesspoint[/:]"
    r"[a-zA-Z0-9\-]{1,63}"
)
_BUCKET_ARN: Final = re.compile(r"arn:aws[^:]*:s3:::([^/]+)(/.*)?")
_DIRECTORY: Final = re.compile(r".+--[a-z0-9-]+--(x-s3|xa-s3)")
# "Reserved" suffixes of bucket names: Amazon S3 User Guide, "General purpose bucket naming rules"
_ALIASES: Final = ("-s3alias", "--ol-s3", "--op-s3", "--xa-s3")
_MULTI_REGION: Final = re.compile(r"arn:aws[^:]*:s3::[0-9]{12}:accesspoint[/:].+")


def bucket_name_problem(bucket: str) -> str | None:
    """Return what is wrong with a name and how to correct it; None if requests can be made for it."""
    if any(kind.fullmatch(bucket) for kind in (_NAME, _ACCESS_POINT, _OUTPOST)):
        return None
    if found := _BUCKET_ARN.fullmatch(bucket):
        return f"is the ARN of a bucket: give its name, {found[1]!r}"
    if bucket.startswith("arn:"):
        return "is an ARN of something else: only access points stand in the place of a bucket by their ARN"
    if "://" in bucket:
        return "is an address: give the bucket's name alone, and where the store is in endpoint_url"
    if "/" in bucket:
        return "has a slash: give the bucket's name alone, and what comes behind it in prefix"
    return "should be letters, digits, '.', '-' and '_', or the ARN of an access point"


def is_arn(bucket: str) -> bool:
    """Whether it is the ARN of an access point."""
    return bucket.startswith("arn:")


def is_access_point(bucket: str) -> bool:
    """Whether it is an access point, by its ARN or its alias, and so another name of some bucket."""
    return is_arn(bucket) or bucket.endswith(_ALIASES)


def is_directory_bucket(bucket: str) -> bool:
    """Whether it is a directory bucket, whose requests are signed with a session key of some minutes."""
    return _DIRECTORY.fullmatch(bucket) is not None


def is_multi_region(bucket: str) -> bool:
    """Whether it is a multi-region access point, whose signature needs an additional library."""
    return _MULTI_REGION.fullmatch(bucket) is not None

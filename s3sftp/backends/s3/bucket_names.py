"""What `s3.bucket` may be: a bucket's name, or that of an access point, which S3 takes in its place. Pure.

    lab                                                    a bucket, or the alias of an access point
    lab--use1-az4--x-s3                                    a directory bucket: signed for a session
    arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME             an access point
    arn:aws:s3::ACCOUNT:accesspoint/NAME.mrap              one of several regions: signed by SigV4A
    arn:aws:s3-outposts:REGION:ACCOUNT:outpost/ID/accesspoint/NAME
    arn:aws:s3-object-lambda:REGION:ACCOUNT:accesspoint/NAME

botocore refuses anything else, each request anew; here it is refused once, and with what would be right.
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
_MULTI_REGION: Final = re.compile(r"arn:aws[^:]*:s3::[0-9]{12}:accesspoint[/:].+")


def bucket_name_problem(bucket: str) -> str | None:
    """What is wrong with it, and what would be right; None for a name that requests can be made for."""
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
    """Whether it is an access point by its ARN."""
    return bucket.startswith("arn:")


def is_directory_bucket(bucket: str) -> bool:
    """Whether requests are signed with the key of a session, which S3 gives for some minutes."""
    return _DIRECTORY.fullmatch(bucket) is not None


def is_multi_region(bucket: str) -> bool:
    """Whether it is an access point of several regions: their signature takes a library of its own."""
    return _MULTI_REGION.fullmatch(bucket) is not None

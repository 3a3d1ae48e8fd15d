"""Sends requests with a checksum of their data, and falls back to MD5 where the store refuses checksums.

UploadPart, x-amz-checksum-crc32 ─► 501 ─► UploadPart, Content-MD5 ─► 200: all further requests have MD5
                                                                  └─► refused: the 501 is reported
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from s3sftp.backends.contract import Buffer
from s3sftp.backends.s3.checksums.digest import Algorithm, Digest, digest
from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.errors import is_outcome, may_lack_feature, request_error_behind
from s3sftp.backends.s3.features import Feature
from s3sftp.errors import AlreadyExists, Changed, StorageError

T = TypeVar("T")
_NEWER: Final = frozenset({"crc32", "sha256"})
"""Algorithms of the x-amz-checksum-… headers, which older stores refuse."""
_DIFFERENT: Final = ("mismatch", "not match", "n't match")


def algorithm_for(client: S3Client) -> Algorithm:
    """The algorithm that proves the data of requests to this store."""
    wanted = client.options.checksum
    return "md5" if wanted in _NEWER and not client.features.has(Feature.CHECKSUMS) else wanted


def uses_checksums(client: S3Client) -> bool:
    """Whether requests may have x-amz-checksum-… headers: neither the options nor the store rule them out."""
    return algorithm_for(client) in _NEWER


def fallback_algorithm(algorithm: Algorithm) -> Algorithm:
    """The algorithm to use if the store refuses this one."""
    return "md5" if algorithm in _NEWER else algorithm


def is_checksum_mismatch(error: StorageError) -> bool:
    """Whether the store reports that the bytes do not match their checksum."""
    request_error = request_error_behind(error)
    text = str(request_error).lower()
    return request_error is not None and (
        request_error.code == "BadDigest" or any(words in text for words in _DIFFERENT)
    )


async def send_with_checksum(
    client: S3Client,
    data: Buffer,
    send: Callable[[dict[str, Any]], Awaitable[T]],
    algorithm: Algorithm | None = None,
) -> tuple[T, Digest]:
    """Call `send` with the fields that prove these bytes; return its reply and the checksum used.

    Raises what `send` raises. If the fallback fails too, the first error is raised, unless the store may have
    executed the fallback.
    """
    algorithm = algorithm or algorithm_for(client)
    proof = await digest(data, algorithm)
    try:
        return await send(proof.fields), proof
    except StorageError as error:
        is_doubted = algorithm in _NEWER and may_lack_feature(client.features, Feature.CHECKSUMS, error)
        if not is_doubted or is_checksum_mismatch(error):
            raise
        refused = error
    proof = await digest(data, fallback_algorithm(algorithm))
    try:
        answer = await send(proof.fields)
    except (AlreadyExists, Changed):
        raise  # the store has evaluated the condition: this is the result
    except StorageError as error:
        if is_outcome(error):
            raise
        answer = None
    if answer is None:
        raise refused
    client.features.lacks(Feature.CHECKSUMS, refused.detail)
    return answer, proof

"""DeleteObjects is refused by some stores, wanted with Content-MD5 by others: a tree moves whole on each."""

from __future__ import annotations

import base64
import hashlib

import pytest

from s3sftp.backends.s3 import S3Backend
from s3sftp.backends.s3.features import Feature
from s3sftp.errors import PermissionDenied, StorageError, StorageFailure
from tests.backends.s3.conftest import ALICE, Opener, place
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer
from tests.support.s3_client import S3

TREE = ("d/", "d/a", "d/b", "d/sub/c")


async def fill(s3: S3) -> None:
    for name in TREE:
        await s3.put(f"tenant/{name}", b"" if name.endswith("/") else b"x")


async def rename(backend: S3Backend, source: str, target: str) -> None:
    await backend.rename(place(source), place(target), ALICE, overwrite=False)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(501, "NotImplemented"),
        Answer(405, "MethodNotAllowed"),
        Answer(400, "MissingContentMD5"),
        Answer(400, "InvalidRequest"),
        Answer(404, "NoSuchKey"),
    ],
    ids=lambda answer: f"{answer.status} {answer.code}",
)
async def test_a_tree_moves_whole_where_batches_are_refused_and_they_are_not_tried_again(
    backend: S3Backend, s3: S3, proxy: FaultProxy, answer: Answer
) -> None:
    await fill(s3)
    refused = proxy.on("DeleteObjects", do=answer)
    await rename(backend, "d", "e")
    await rename(backend, "e", "f")
    assert await s3.keys() == [f"tenant/f{name[1:]}" for name in TREE]
    assert refused.hits == 1
    assert backend.client.features.missing == (Feature.BATCH_DELETES,)


async def test_a_refusal_of_single_deletes_too_teaches_nothing_and_is_told(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await fill(s3)
    proxy.on("DeleteObjects", do=Answer(405, "MethodNotAllowed"))
    proxy.on("DeleteObject", do=Answer(403, "AccessDenied"))
    with pytest.raises(StorageError) as told:
        await rename(backend, "d", "e")
    assert "DeleteObjects" in str(told.value.detail)
    assert backend.client.features.missing == ()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(Answer(403, "AccessDenied"), PermissionDenied), (Answer(404, "NoSuchBucket"), StorageFailure)],
    ids=["permission", "bucket"],
)
async def test_a_missing_permission_or_bucket_is_no_missing_feature(
    backend: S3Backend, s3: S3, proxy: FaultProxy, answer: Answer, expected: type[StorageError]
) -> None:
    await fill(s3)
    proxy.on("DeleteObjects", do=answer)
    with pytest.raises(expected):
        await rename(backend, "d", "e")
    assert backend.client.features.missing == ()


@pytest.mark.parametrize("checksum", ["crc32", "md5", "none"])
async def test_batches_are_proven_by_md5_which_every_store_knows(
    open_backend: Opener, s3: S3, proxy: FaultProxy, checksum: str
) -> None:
    backend = await open_backend(checksum=checksum)
    await fill(s3)
    await rename(backend, "d", "e")
    assert await s3.keys() == [f"tenant/e{name[1:]}" for name in TREE]
    batches = proxy.log.of("DeleteObjects")
    assert batches
    for seen in batches:
        assert seen.headers["content-md5"] == base64.b64encode(hashlib.md5(seen.body).digest()).decode()
        assert not [name for name in seen.headers if "checksum" in name]

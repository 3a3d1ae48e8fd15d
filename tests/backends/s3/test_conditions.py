"""Conditions that a store refuses or ignores: operations go on in the same call, and guard what they can."""

from __future__ import annotations

import pytest

from s3sftp.backends.contract import FileInfo, Finish
from s3sftp.backends.s3 import S3Backend
from s3sftp.backends.s3.errors import outcome_is_unknown
from s3sftp.backends.s3.features import Feature
from s3sftp.errors import AlreadyExists, Changed, PermissionDenied, StorageError
from tests.backends.s3.conftest import ALICE, PART, Opener, place
from tests.backends.s3.upload_driver import begin, data_of, get, put
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, LoseReply, Meanwhile, Strip
from tests.support.s3_client import S3

CONDITIONS = ("if-none-match", "if-match", "x-amz-copy-source-if-match")
REFUSALS = [Answer(501, "NotImplemented"), Answer(400, "InvalidArgument"), Answer(405, "MethodNotAllowed")]
MOTO = pytest.mark.parametrize("store", ["moto"], indirect=True)
"""A store that ignores If-None-Match on CopyObject, conditions on the source of copies, and If-Match on
CompleteMultipartUpload."""


@pytest.fixture
def unknown(proxy: FaultProxy) -> FaultProxy:
    """The proxy, of a store that does not say what it is."""
    proxy.anonymous = True
    return proxy


def refuse(proxy: FaultProxy, answer: Answer, *apis: str) -> None:
    for header in CONDITIONS:
        proxy.on(*apis, do=answer, header=f"^{header}:")


async def rename(backend: S3Backend, source: str, target: str, *, overwrite: bool = False) -> None:
    await backend.rename(place(source), place(target), ALICE, overwrite=overwrite)


async def append(backend: S3Backend, path: str, base: FileInfo, more: bytes) -> FileInfo:
    """Write on at the end of a file, of which the store copies what is there."""
    upload = await begin(backend, path, base=base)
    try:
        await backend.keep_range(upload, 0, base.size, ALICE)
        return await backend.finish_write(upload, more, Finish(base.size + len(more), base_kept=True), ALICE)
    except BaseException:
        await backend.abort_write(upload, ALICE)
        raise


def conditions_sent(proxy: FaultProxy) -> list[str]:
    """By requests that change something: to read one version is another feature."""
    changing = (seen for seen in proxy.log if seen.method not in ("GET", "HEAD"))
    return [seen.api for seen in changing if any(header in seen.headers for header in CONDITIONS)]


@pytest.mark.parametrize("answer", REFUSALS, ids=lambda answer: str(answer.status))
async def test_a_store_that_refuses_all_conditions_does_everything_the_first_time(
    backend: S3Backend, s3: S3, proxy: FaultProxy, answer: Answer
) -> None:
    refuse(proxy, answer)
    old = data_of(PART)
    await backend.make_dir(place("d"), ALICE)
    await put(backend, "d/small", b"x", exclusive=True)
    info = await put(backend, "d/large", old, exclusive=True)
    await append(backend, "d/large", info, b"more")
    await rename(backend, "d/large", "d/moved")
    await rename(backend, "d/small", "d/other", overwrite=True)
    assert await backend.set_mtime(place("d/moved"), 1000, ALICE)
    assert await s3.keys() == ["tenant/d/", "tenant/d/moved", "tenant/d/other"]
    assert await s3.body("tenant/d/moved") == old + b"more"
    assert await s3.multipart_uploads() == []


async def test_what_was_refused_once_is_not_sent_again(backend: S3Backend, proxy: FaultProxy) -> None:
    refuse(proxy, Answer(501, "NotImplemented"))
    for turn in "ab":
        await backend.make_dir(place(turn), ALICE)
        info = await put(backend, f"{turn}/f", data_of(PART), exclusive=True)
        await append(backend, f"{turn}/f", info, b"more")
        await rename(backend, f"{turn}/f", f"{turn}/g")
        if turn == "a":
            proxy.log.clear()
    assert conditions_sent(proxy) == []
    assert set(backend.client.features.missing) == {
        Feature.CONDITIONAL_WRITES,
        Feature.CONDITIONAL_COPIES,
        Feature.MATCHED_COPIES,
        Feature.CONDITIONAL_DELETES,
    }


async def test_a_store_that_takes_no_version_of_a_source_alone_is_known_for_that(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    proxy.on(do=Answer(501, "NotImplemented"), header="x-amz-copy-source-if-match")
    for target, overwrite in (("b", False), ("c", True)):
        await s3.put("tenant/a", b"x")
        await rename(backend, "a", target, overwrite=overwrite)
    assert backend.client.features.missing == (Feature.MATCHED_COPIES,)
    await s3.put("tenant/a", b"x")
    proxy.on("HeadObject", do=Meanwhile(lambda: s3.put("tenant/a", b"y")), key="/a$", skip=1, times=1)
    with pytest.raises(Changed):
        await rename(backend, "a", "d", overwrite=True)
    assert await s3.keys() == ["tenant/a", "tenant/b", "tenant/c"]


async def test_without_conditions_what_came_meanwhile_is_looked_for(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    backend = await open_backend(
        lacks=["conditional-writes", "conditional-copies", "matched-copies", "conditional-deletes"]
    )
    upload = await begin(backend, "new", exclusive=True)
    await s3.put("tenant/new", b"theirs")
    with pytest.raises(AlreadyExists):
        await backend.finish_write(upload, b"mine", Finish(4), ALICE)
    info = await put(backend, "old", data_of(PART))
    upload = await begin(backend, "old", base=info)
    await backend.keep_range(upload, 0, PART, ALICE)
    await s3.put("tenant/old", b"theirs")
    with pytest.raises(Changed):
        await backend.finish_write(upload, b"mine", Finish(PART + 4, base_kept=True), ALICE)
    await backend.abort_write(upload, ALICE)
    await put(backend, "source", b"mine")
    proxy.on("CopyObject", do=Meanwhile(lambda: s3.put("tenant/source", b"theirs")), times=1)
    with pytest.raises(Changed):
        await rename(backend, "source", "target", overwrite=True)
    for key in ("tenant/new", "tenant/old", "tenant/source"):
        assert await s3.body(key) == b"theirs"
    assert conditions_sent(proxy) == []


@pytest.mark.parametrize("answer", [Answer(403, "AccessDenied"), Answer(503, "SlowDown")])
async def test_a_failure_that_is_no_refusal_switches_no_condition_off(
    backend: S3Backend, s3: S3, proxy: FaultProxy, answer: Answer
) -> None:
    await s3.put("tenant/a", b"x")
    for header in CONDITIONS:
        proxy.on("PutObject", "CopyObject", "DeleteObject", do=answer, header=f"^{header}:")
    for operation in (
        backend.make_dir(place("d"), ALICE),
        rename(backend, "a", "b"),
        put(backend, "e", b"x", exclusive=True),
    ):
        with pytest.raises(StorageError):
            await operation
    assert backend.client.features.missing == ()
    assert await s3.keys() == ["tenant/a"]


FOREIGN = [
    Answer(400, "KMS.DisabledException", "the key is disabled"),
    Answer(400, "ServerSideEncryptionConfigurationNotFoundError"),
    Answer(400, "BadRequest", "Bad Request"),
]


@pytest.mark.parametrize("answer", FOREIGN, ids=lambda answer: str(answer.code))
async def test_a_400_that_is_about_something_else_switches_nothing_off(
    open_backend: Opener, s3: S3, proxy: FaultProxy, answer: Answer
) -> None:
    backend = await open_backend(tags={"team": "a"})
    await put(backend, "a", b"x")  # so it is known which store it is
    proxy.log.clear()
    for api in ("PutObject", "CopyObject", "DeleteObject"):
        proxy.on(api, do=answer, times=1)
    with pytest.raises(StorageError):
        await put(backend, "e", b"x", exclusive=True)
    with pytest.raises(StorageError):
        await rename(backend, "a", "b")
    assert proxy.log.count("PutObject") == proxy.log.count("CopyObject") == 1
    assert backend.client.features.missing == ()
    assert await s3.keys() == ["tenant/a"]


@MOTO
async def test_a_400_does_not_take_the_place_of_what_was_seen(
    backend: S3Backend, s3: S3, unknown: FaultProxy
) -> None:
    await put(backend, "a", b"x", exclusive=True)
    unknown.on("PutObject", do=Answer(400, "InvalidRequest"), header="^if-none-match:")
    with pytest.raises(StorageError):
        await put(backend, "b", b"x", exclusive=True)
    assert backend.client.features.has(Feature.CONDITIONAL_WRITES)
    assert Feature.CONDITIONAL_WRITES not in backend.client.features.missing
    assert await s3.keys() == ["tenant/a"]
    unknown.clear()
    unknown.on("PutObject", do=Answer(501, "NotImplemented"), header="^if-none-match:")
    await put(backend, "b", b"x", exclusive=True)
    assert Feature.CONDITIONAL_WRITES in backend.client.features.missing


async def test_a_400_of_aws_shows_nothing(open_backend: Opener, s3: S3, proxy: FaultProxy) -> None:
    backend = await open_backend(tags={"team": "a"})
    backend.client.features.is_aws = True
    await put(backend, "a", b"x")
    proxy.log.clear()
    proxy.on("PutObject", "CopyObject", do=Answer(400, "InvalidRequest"))
    for operation in (put(backend, "e", b"x", exclusive=True), rename(backend, "a", "b", overwrite=True)):
        with pytest.raises(StorageError):
            await operation
    assert proxy.log.count("PutObject") == proxy.log.count("CopyObject") == 1
    assert backend.client.features.missing == ()


async def test_what_fails_without_the_condition_too_shows_nothing_and_is_told_as_it_was(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await s3.put("tenant/a", b"x")
    proxy.on("PutObject", "CopyObject", "UploadPartCopy", do=Answer(403, "AccessDenied"), skip=1)
    proxy.on("PutObject", "CopyObject", do=Answer(400, "InvalidRequest", "no condition, or the ACL"))
    with pytest.raises(StorageError) as told:
        await backend.make_dir(place("d"), ALICE)
    assert "InvalidRequest" in str(told.value.detail)
    with pytest.raises(PermissionDenied):
        await rename(backend, "a", "b", overwrite=True)
    assert backend.client.features.missing == ()


@pytest.mark.parametrize("header", ["^if-none-match:", "^x-amz-checksum-crc32:"])
async def test_what_was_sent_after_a_refusal_and_may_be_stored_is_told_as_unknown(
    open_backend: Opener, s3: S3, proxy: FaultProxy, header: str
) -> None:
    backend = await open_backend(attempts=1)
    await put(backend, "a", b"x")
    proxy.on("PutObject", do=Answer(501, "NotImplemented"), header=header)
    proxy.on("PutObject", do=LoseReply())
    proxy.on("HeadObject", do=Answer(403, "AccessDenied"), key="/f$", skip=int("if" in header))
    with pytest.raises(StorageError) as told:
        await put(backend, "f", b"x", exclusive=True)
    assert outcome_is_unknown(told.value)
    assert await s3.body("tenant/f") == b"x"


async def test_a_store_that_refuses_to_read_one_version_is_read_and_compared(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    refused = proxy.on("GetObject", do=Answer(501, "NotImplemented"), header="^if-match:")
    info = await put(backend, "f", b"mine")
    for _ in range(2):
        assert await get(backend, "f", 0, 4, info.version) == b"mine"
    await s3.put("tenant/f", b"more")
    with pytest.raises(Changed):
        await get(backend, "f", 0, 4, info.version)
    assert refused.hits == 1
    assert backend.client.features.missing == (Feature.MATCHED_READS,)


async def test_a_conflict_about_a_name_that_is_taken_says_so(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    upload = await begin(backend, "f", exclusive=True)
    proxy.on("PutObject", do=Answer(409, "ConditionalRequestConflict"), times=1)
    await backend.finish_write(upload, b"mine", Finish(4), ALICE)
    upload = await begin(backend, "g", exclusive=True)
    await s3.put("tenant/g", b"theirs")
    proxy.on("PutObject", do=Answer(409, "ConditionalRequestConflict"))
    with pytest.raises(AlreadyExists):
        await backend.finish_write(upload, b"mine", Finish(4), ALICE)


# ── what is ignored without a word ──────────────────────────────────────────────────────────────────


@MOTO
@pytest.mark.parametrize("api", ["CreateMultipartUpload", "UploadPartCopy", "CompleteMultipartUpload"])
@pytest.mark.parametrize("body", [b"mine", b""])
@pytest.mark.parametrize("known", [True, False])
async def test_a_rename_replaces_nothing_on_a_store_that_ignores_conditions_on_copies(
    backend: S3Backend, s3: S3, proxy: FaultProxy, api: str, body: bytes, known: bool
) -> None:
    proxy.anonymous = not known
    await s3.put("tenant/old", body, Metadata={"mtime": "1000"})
    came = proxy.on(
        api, *([] if body else ["PutObject"]), do=Meanwhile(lambda: s3.put("tenant/new", b"theirs"))
    )
    with pytest.raises(AlreadyExists):
        await rename(backend, "old", "new")
    assert came.hits
    assert await s3.body("tenant/new") == b"theirs"
    assert await s3.body("tenant/old") == body
    assert await s3.multipart_uploads() == []
    proxy.clear()
    await rename(backend, "old", "newer")
    assert await s3.keys() == ["tenant/new", "tenant/newer"]
    assert await s3.body("tenant/newer") == body
    assert (await s3.head("tenant/newer"))["Metadata"]["mtime"] == "1000"


@MOTO
async def test_a_rename_looks_where_the_end_of_an_upload_is_the_one_place_that_ignores_the_condition(
    backend: S3Backend, s3: S3, unknown: FaultProxy
) -> None:
    unknown.on("CompleteMultipartUpload", do=Strip("if-none-match"))
    unknown.on("UploadPartCopy", do=Meanwhile(lambda: s3.put("tenant/new", b"theirs")))
    await s3.put("tenant/old", b"mine")
    with pytest.raises(AlreadyExists):
        await rename(backend, "old", "new")
    assert await s3.body("tenant/new") == b"theirs"


@MOTO
async def test_a_source_that_was_replaced_is_not_removed_by_a_store_that_ignores_conditions_on_deletes(
    backend: S3Backend, s3: S3, unknown: FaultProxy
) -> None:
    unknown.on("DeleteObject", do=Strip("if-match"), header="if-match")
    await s3.put("tenant/old", b"mine")
    unknown.on("PutObject", do=Meanwhile(lambda: s3.put("tenant/old", b"theirs")), times=1)
    with pytest.raises(Changed):
        await rename(backend, "old", "new", overwrite=True)
    assert await s3.body("tenant/old") == b"theirs"
    assert await s3.body("tenant/new") == b"mine"
    assert Feature.CONDITIONAL_DELETES in backend.client.features.missing


@MOTO
async def test_an_exclusive_file_is_looked_for_on_a_store_that_ignores_conditions_on_writes(
    backend: S3Backend, s3: S3, unknown: FaultProxy
) -> None:
    unknown.on(do=Strip("if-none-match"), header="if-none-match")
    upload = await begin(backend, "new", exclusive=True)
    await s3.put("tenant/new", b"theirs")
    with pytest.raises(AlreadyExists):
        await backend.finish_write(upload, b"mine", Finish(4), ALICE)
    await s3.put("tenant/old", b"mine")
    with pytest.raises(AlreadyExists):
        await rename(backend, "old", "new")
    assert await s3.body("tenant/new") == b"theirs"
    assert Feature.CONDITIONAL_WRITES in backend.client.features.missing
    assert await get(backend, "new", 0, 6) == b"theirs"


@MOTO
async def test_an_exclusive_file_in_parts_is_looked_for_where_the_end_of_an_upload_ignores_the_condition(
    backend: S3Backend, s3: S3, unknown: FaultProxy
) -> None:
    unknown.on("CompleteMultipartUpload", do=Strip("if-none-match"))
    await put(backend, "other", b"x", exclusive=True)
    unknown.on("UploadPart", do=Meanwhile(lambda: s3.put("tenant/new", b"theirs")))
    with pytest.raises(AlreadyExists):
        await put(backend, "new", data_of(PART + 1), exclusive=True)
    assert await s3.body("tenant/new") == b"theirs"


@MOTO
async def test_a_base_that_was_replaced_is_seen_on_a_store_that_ignores_if_match_at_the_end_of_an_upload(
    backend: S3Backend, s3: S3, unknown: FaultProxy
) -> None:
    assert unknown.anonymous
    info = await put(backend, "f", data_of(PART))
    upload = await begin(backend, "f", base=info)
    await backend.keep_range(upload, 0, PART, ALICE)
    await s3.put("tenant/f", b"theirs")
    with pytest.raises(Changed):
        await backend.finish_write(upload, b"more", Finish(PART + 4, base_kept=True), ALICE)
    await backend.abort_write(upload, ALICE)
    assert await s3.body("tenant/f") == b"theirs"


@MOTO
async def test_what_is_copied_of_a_source_that_was_replaced_is_noticed_on_a_store_that_ignores_its_version(
    open_backend: Opener, s3: S3, unknown: FaultProxy
) -> None:
    backend = await open_backend(copy_part_bytes=PART)
    for size, api in ((10, "CopyObject"), (2 * PART, "UploadPartCopy")):
        await s3.put("tenant/old", data_of(size))
        info = await backend.file_info(place("old"), ALICE)
        unknown.on(api, do=Meanwhile(lambda: s3.put("tenant/old", data_of(2 * PART, 1))), times=1)
        with pytest.raises(Changed):
            await backend.copy(place("old"), place(f"new-{size}"), ALICE, version=info.version)
    assert not await s3.exists(f"tenant/new-{2 * PART}")


@MOTO
async def test_what_a_store_ignores_is_found_out_once_and_leaves_nothing(
    backend: S3Backend, s3: S3, unknown: FaultProxy
) -> None:
    await s3.put("tenant/a", b"x")
    await rename(backend, "a", "b", overwrite=True)
    probed = unknown.log.of(key=r"/\.s3sftp/")
    tried = ["PutObject", "PutObject", "CopyObject", "CopyObject", "DeleteObject", "DeleteObject"]
    assert [seen.api for seen in probed] == tried
    await rename(backend, "b", "c")
    await put(backend, "d", b"x", exclusive=True)
    assert unknown.log.of(key=r"/\.s3sftp/") == probed
    assert await s3.keys() == ["tenant/c", "tenant/d"]


@MOTO
async def test_a_source_is_looked_at_before_its_removal_as_long_as_the_store_could_not_be_tried(
    backend: S3Backend, s3: S3, unknown: FaultProxy
) -> None:
    unknown.on("PutObject", do=Answer(403, "AccessDenied"), key=r"/\.s3sftp/")
    unknown.on("DeleteObject", do=Strip("if-match"), header="if-match")
    await s3.put("tenant/old", b"mine")
    came = Meanwhile(lambda: s3.put("tenant/old", b"theirs"))
    unknown.on("HeadObject", do=came, key="/old$", skip=1, times=1)
    with pytest.raises(Changed):
        await rename(backend, "old", "new", overwrite=True)
    assert await s3.body("tenant/old") == b"theirs"


@MOTO
async def test_a_rename_replaces_nothing_as_long_as_the_store_could_not_be_tried(
    backend: S3Backend, s3: S3, unknown: FaultProxy
) -> None:
    unknown.on("PutObject", do=Answer(403, "AccessDenied"), key=r"/\.s3sftp/")
    unknown.on("CopyObject", "UploadPartCopy", do=Meanwhile(lambda: s3.put("tenant/new", b"theirs")))
    await s3.put("tenant/old", b"mine")
    with pytest.raises(AlreadyExists):
        await rename(backend, "old", "new")
    assert await s3.body("tenant/new") == b"theirs"


@MOTO
async def test_a_look_that_fails_does_not_keep_the_store_from_being_asked_the_others(
    backend: S3Backend, s3: S3, unknown: FaultProxy
) -> None:
    unknown.on("CopyObject", do=Answer(403, "AccessDenied"), key=r"/\.s3sftp/")
    unknown.on("DeleteObject", do=Strip("if-match"), header="if-match")
    await s3.put("tenant/old", b"mine")
    await rename(backend, "old", "new", overwrite=True)
    assert Feature.CONDITIONAL_DELETES in backend.client.features.missing
    assert await s3.keys() == ["tenant/new"]


@MOTO
async def test_a_store_that_cannot_be_tried_keeps_nothing_from_being_done(
    backend: S3Backend, s3: S3, unknown: FaultProxy
) -> None:
    denied = unknown.on("PutObject", do=Answer(403, "AccessDenied"), key=r"/\.s3sftp/")
    for name in ("a", "b"):
        await s3.put(f"tenant/{name}", b"x")
        await rename(backend, name, f"new-{name}", overwrite=True)
    assert denied.hits == 1
    assert backend.client.features.missing == ()


async def test_a_store_that_is_known_to_honour_them_is_not_tried(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await s3.put("tenant/a", b"x")
    await rename(backend, "a", "b")
    assert proxy.log.by_api() == {"HeadObject": 1, "ListObjectsV2": 1, "CopyObject": 1, "DeleteObject": 1}

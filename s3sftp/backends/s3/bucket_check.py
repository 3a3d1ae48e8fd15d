"""A look at a bucket before it is trusted: what works, what does not, and what to do about it.

Everything is tried for real, with objects under a random name below the prefix that are removed again.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any

from s3sftp.backends.findings import Finding, State
from s3sftp.backends.s3.advice import advice_on
from s3sftp.backends.s3.bodies import MemoryBody
from s3sftp.backends.s3.checking_checksums import look_checksums, look_kept, look_sizes
from s3sftp.backends.s3.client import Answer, Store
from s3sftp.backends.s3.deleting import delete_object
from s3sftp.backends.s3.failures import Trouble, cause_of, has_status
from s3sftp.backends.s3.journal_bucket import journal_prefix, put_small
from s3sftp.backends.s3.keys import reserved_prefix
from s3sftp.backends.s3.multipart import Multipart
from s3sftp.backends.s3.objects import new_object
from s3sftp.backends.s3.options import MIB, S3Options
from s3sftp.backends.s3.ownership import Journal
from s3sftp.backends.s3.proven import algorithm_for, proven
from s3sftp.backends.s3.publishing import written_by
from s3sftp.backends.s3.received import body_of, read_all
from s3sftp.errors import StorageError

MAX_SKEW_SECONDS = 300.0
CONTENT = b"written by s3sftp check; safe to delete\n"


async def check(options: S3Options) -> list[Finding]:
    """Look at the bucket; every finding, the worst included: this never raises because of the store."""
    store = Store(options)
    await store.start()
    try:
        return [finding async for finding in _Check(store).findings()]
    finally:
        await store.stop()


class _Check:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._options = store.options
        name = f"check-{uuid.uuid4().hex}"
        self._probe = f"{store.options.prefix}.s3sftp-{name}"
        self._claim = f"{journal_prefix(store.options.prefix)}{name}"

    async def findings(self) -> AsyncIterator[Finding]:
        reached = await self._reach()
        yield reached
        if reached.state == "failed":
            return
        try:
            for look in self._looks():
                yield await look()
        finally:
            await self._clean()

    def _looks(self) -> list[Callable[[], Awaitable[Finding]]]:
        return [
            self._write,
            self._read,
            self._range,
            self._match,
            self._exclusive,
            self._multipart,
            lambda: look_checksums(self._store),
            lambda: look_kept(self._store, self._probe),
            lambda: look_sizes(self._store),
            self._delete,
            self._reserved,
            self._lifecycle,
            self._versioning,
        ]

    async def _reach(self) -> Finding:
        """LIST: the bucket answers, the credentials and the clock are good."""
        try:
            answer = await self._store.call("ListObjectsV2", Prefix=self._options.prefix, MaxKeys=1)
        except StorageError as error:
            return _unreached(error)
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
        if (skew := skew_of(date)) is not None and abs(skew) > MAX_SKEW_SECONDS:
            return _wrong_clock(skew, "warning")
        return Finding("bucket", "ok", "reachable, and may be listed")

    async def _write(self) -> Finding:
        try:
            await self._put(self._probe)
        except StorageError as error:
            return _refused("write", error, "allow s3:PutObject below the prefix")
        return Finding("write", "ok", f"PutObject works, with checksum {algorithm_for(self._store)}")

    async def _read(self) -> Finding:
        try:
            head = await self._store.call("HeadObject", Key=self._probe)
            answer = await self._store.call("GetObject", Key=self._probe)
            body = await self._content(answer)
        except StorageError as error:
            return _refused("read", error, "allow s3:GetObject below the prefix")
        if body != CONTENT:
            return Finding("read", "failed", "what was read is not what was written", "use another store")
        if "s3sftp-upload" not in head.get("Metadata", {}):
            return Finding(
                "read",
                "warning",
                "the store drops object metadata: modification times are lost, and a lost reply to a "
                "conditional write looks like a failure",
            )
        return Finding("read", "ok", "HeadObject and GetObject work, metadata is kept")

    async def _content(self, answer: Answer) -> bytes:
        return await read_all(body_of(answer), MIB, self._options.stall_timeout.total_seconds())

    async def _range(self) -> Finding:
        try:
            answer = await self._store.call("GetObject", Key=self._probe, Range="bytes=3-6")
            body = await self._content(answer)
        except StorageError as error:
            return _refused("ranges", error, "downloads need ranged GETs: use a store that has them")
        if body != CONTENT[3:7]:
            return Finding(
                "ranges", "failed", "the store ignores Range", "downloads cannot work on this store"
            )
        return Finding("ranges", "ok", "ranged GET is honoured")

    async def _match(self) -> Finding:
        try:
            answer = await self._store.call(
                "GetObject", Key=self._probe, IfMatch='"00000000000000000000000000000000"'
            )
            await self._content(answer)
        except StorageError as error:
            if has_status(error, 412):
                return Finding("versions", "ok", "GET with If-Match is honoured")
            return _refused("versions", error, "downloads insist on one version by If-Match")
        return Finding(
            "versions",
            "warning",
            "the store ignores If-Match on GET",
            "a file that is replaced while it is downloaded is noticed only by comparing ETags of answers",
        )

    async def _exclusive(self) -> Finding:
        try:
            await self._put(self._probe, IfNoneMatch="*")
        except StorageError as error:
            if has_status(error, 409, 412):
                return Finding("conditional writes", "ok", "If-None-Match on PutObject is honoured")
            if has_status(error, 400, 501):
                return _unconditional("the store refuses If-None-Match on PutObject")
            return _refused("conditional writes", error, "")
        return _unconditional("the store ignores If-None-Match on PutObject: it replaced the object")

    async def _multipart(self) -> Finding:
        key, write_id = f"{self._probe}-parts", str(uuid.uuid4())
        upload = Multipart(self._store, Journal("", ""), key, new_object(self._options, write_id, None))
        try:
            await upload.upload(upload.take(), CONTENT)
            await upload.complete(written_by(write_id))
        except StorageError as error:
            await upload.abort()
            return _refused(
                "multipart", error, "allow s3:PutObject and s3:AbortMultipartUpload below the prefix"
            )
        return await self._abortion(key)

    async def _abortion(self, key: str) -> Finding:
        try:
            begun = await self._store.call("CreateMultipartUpload", Key=key)
            await self._store.call("AbortMultipartUpload", Key=key, UploadId=begun["UploadId"])
        except StorageError as error:
            return _refused(
                "multipart", error, "allow s3:AbortMultipartUpload, or unfinished uploads stay and cost"
            )
        return Finding("multipart", "ok", "multipart uploads can be completed and aborted")

    async def _delete(self) -> Finding:
        try:
            await delete_object(self._store, self._probe)
            await self._store.call("HeadObject", Key=self._probe)
        except StorageError as error:
            if has_status(error, 404):
                return Finding("delete", "ok", "DeleteObject works")
            return _refused("delete", error, "allow s3:DeleteObject below the prefix")
        return Finding("delete", "failed", "a deleted object is still there", "use another store")

    async def _reserved(self) -> Finding:
        """What is below the reserved name already, and whether the journal can be kept there."""
        name = reserved_prefix(self._options.prefix)
        try:
            answer = await self._store.call("ListObjectsV2", Prefix=name.removesuffix("/"), MaxKeys=1000)
            if self._options.journal == "bucket":
                await self._keep_a_claim()
        except StorageError as error:
            return _refused(
                "journal",
                error,
                f"allow s3:PutObject, s3:GetObject and s3:DeleteObject below {name}, or set s3.journal to"
                ' "disk" or "off": until then unfinished uploads of a crash stay',
                state="warning",
            )
        keys = [line["Key"] for line in answer.get("Contents", ())]
        own = journal_prefix(self._options.prefix)
        hidden = [
            key for key in keys if f"{key}/" == name or (key.startswith(name) and not key.startswith(own))
        ]
        if hidden:
            return Finding(
                "journal",
                "warning",
                f"{len(hidden)} objects below {name} are hidden from users: the name is the server's",
                "move them to another name, with a tool of the store",
            )
        if self._options.journal == "bucket":
            return Finding("journal", "ok", f"unfinished uploads can be noted below {name}")
        return Finding("journal", "ok", f"nothing of users is below {name}, which is hidden from them")

    async def _keep_a_claim(self) -> None:
        await put_small(self._store, self._claim, CONTENT)
        await self._content(await self._store.call("GetObject", Key=self._claim))
        await delete_object(self._store, self._claim)

    async def _lifecycle(self) -> Finding:
        try:
            answer = await self._store.call("GetBucketLifecycleConfiguration")
        except StorageError as error:
            if has_status(error, 404):
                return self._no_rule("no lifecycle rule aborts unfinished uploads")
            return _refused("lifecycle", error, self._rule_advice(), state="warning")
        if any(_aborts(rule, self._options.prefix) for rule in answer.get("Rules", ())):
            return Finding("lifecycle", "ok", "a lifecycle rule aborts unfinished uploads")
        return self._no_rule("no lifecycle rule aborts unfinished uploads below the prefix")

    async def _versioning(self) -> Finding:
        try:
            answer = await self._store.call("GetBucketVersioning")
        except StorageError as error:
            return _refused("versioning", error, "", state="warning")
        if answer.get("Status") == "Enabled":
            return Finding(
                "versioning",
                "ok",
                "the bucket keeps old versions: removed and replaced files still cost",
                "have a lifecycle rule expire noncurrent versions, unless they are wanted",
            )
        return Finding("versioning", "ok", "the bucket keeps one version of each file")

    def _no_rule(self, text: str) -> Finding:
        return Finding("lifecycle", "warning", text, self._rule_advice())

    def _rule_advice(self) -> str:
        rule = {
            "ID": "s3sftp-unfinished-uploads",
            "Status": "Enabled",
            "Filter": {"Prefix": self._options.prefix},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2},
        }
        return (
            "for what a crash leaves behind, add to the bucket's rules (the command replaces them all): "
            f"aws s3api put-bucket-lifecycle-configuration --bucket {self._options.bucket} "
            f"--lifecycle-configuration '{json.dumps({'Rules': [rule]})}'"
        )

    async def _put(self, key: str, **conditions: Any) -> Answer:
        fields = new_object(self._options, str(uuid.uuid4()), None) | conditions
        answer, _ = await proven(
            self._store,
            CONTENT,
            lambda proof: self._store.call("PutObject", Key=key, Body=MemoryBody(CONTENT), **fields, **proof),
        )
        return answer

    async def _clean(self) -> None:
        probes = [self._probe, f"{self._probe}-parts"]
        for key in probes + ([self._claim] if self._options.journal == "bucket" else []):
            with suppress(StorageError):
                await delete_object(self._store, key)


def skew_of(date: str) -> float | None:
    """Seconds by which this machine's clock is ahead of the store's; None when that is not told."""
    try:
        return time.time() - parsedate_to_datetime(date).timestamp() if date else None
    except ValueError:
        return None


def _unreached(error: StorageError) -> Finding:
    trouble = cause_of(error)
    skew = skew_of(trouble.date) if trouble is not None else None
    code = trouble.code if trouble is not None else ""
    if code == "RequestTimeTooSkewed" or (skew is not None and abs(skew) > MAX_SKEW_SECONDS):
        return _wrong_clock(skew, "failed")
    general = "see that bucket, region, endpoint_url and credentials are right"
    return _refused("bucket", error, advice_on(error) or general)


def _wrong_clock(skew: float | None, state: State) -> Finding:
    ahead = "" if skew is None else f" by {abs(skew) / 60:.0f} minutes ({'ahead' if skew > 0 else 'behind'})"
    return Finding(
        "clock", state, f"this machine's clock is wrong{ahead}", "set the clock (NTP): S3 refuses others"
    )


def _refused(what: str, error: StorageError, advice: str, *, state: State = "failed") -> Finding:
    trouble = cause_of(error)
    said = f" ({_said(trouble)})" if trouble is not None else ""
    return Finding(what, state, f"{error}{said}", advice)


def _said(trouble: Trouble) -> str:
    status = f", HTTP {trouble.status}" if trouble.status and str(trouble.status) != trouble.code else ""
    return f"{trouble.api}: {trouble.code}{status}"


def _unconditional(text: str) -> Finding:
    return Finding(
        "conditional writes",
        "warning",
        text,
        "two clients that create the same file at the same time may both be told that they succeeded",
    )


def _aborts(rule: dict[str, Any], prefix: str) -> bool:
    """Whether a lifecycle rule covers unfinished uploads below the prefix."""
    where = rule.get("Filter", {}).get("Prefix", rule.get("Prefix", ""))
    return (
        rule.get("Status") == "Enabled"
        and "AbortIncompleteMultipartUpload" in rule
        and prefix.startswith(where)
    )

"""The one way to the bucket: every request goes through `S3Client.call`.

    call ─► attempt ─► answer ───────────────────────────► returned
              ▲          └─► trouble ─► worth another try? ─┐ no: its StorageError is raised
              └───────────── delay ◄────────────────────────┘

Deadline, retries, credentials, spans and costs are here and nowhere else. botocore's own retries are off.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from typing import Any, Final

from botocore import xform_name
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from s3sftp.backends.s3.botocore_client import make_client, prepared
from s3sftp.backends.s3.concurrency import TimedSemaphore
from s3sftp.backends.s3.credentials.errors import CredentialSourceFailed
from s3sftp.backends.s3.credentials.renewal import RenewableCredentials
from s3sftp.backends.s3.errors import RequestError, classify, is_denied
from s3sftp.backends.s3.features import Features
from s3sftp.backends.s3.http.fast_client import FastClient
from s3sftp.backends.s3.http.reply_evidence import UnprovenReply, require_evidence
from s3sftp.backends.s3.http.response_body import response_body
from s3sftp.backends.s3.http.response_fields import (
    unparsable_response,
    without_invalid_etags,
    without_invalid_fields,
)
from s3sftp.backends.s3.http.service_model import has_parameter
from s3sftp.backends.s3.options import S3Options
from s3sftp.backends.s3.request_metrics import S3RequestMetrics
from s3sftp.backends.s3.request_outcomes import RequestOutcomes
from s3sftp.backends.s3.requests.denied_lookups import DeniedLookups
from s3sftp.backends.s3.requests.list_objects_v1 import list_page
from s3sftp.backends.s3.requests.tagging import send_tagged
from s3sftp.backends.s3.retry_policy import RequestKind, RetryAdvice, RetryPolicy, attempt_limit, time_limit
from s3sftp.errors import PermissionDenied
from s3sftp.runtime.shared_counters import SharedCounters
from s3sftp.telemetry import charge, get_logger, span
from s3sftp.telemetry.metrics import Metrics

Answer = dict[str, Any]

_log = get_logger("s3sftp.s3")
MAX_LISTINGS: Final = 4
"""Pages of listings asked for at once: parsing a thousand keys holds up everyone for a while."""
_PAUSE_SECONDS: Final = 2.0
"""After settings that could not be used, until they are read again."""
_EXPECTED_STATUSES: Final = frozenset({304, 404, 412})
"""Answers that are news, not failures: a span with one of them is not marked as failed."""
_MUTE_APIS: Final = frozenset({"HeadObject", "HeadBucket"})
"""Their answers have no body, so stale credentials look like any other refusal."""


class S3Client:
    """A client of one bucket. `start` before the first call, `stop` after the last."""

    def __init__(
        self,
        options: S3Options,
        contact: RequestOutcomes | None = None,
        *,
        dice: Callable[[], float] = random.random,
        metrics: Metrics | None = None,
        features: SharedCounters | None = None,
    ) -> None:
        self.options = options
        self.features = Features(options.lacks, features)
        self._contact = contact or RequestOutcomes()
        self._dice = dice
        self._counts = S3RequestMetrics(metrics or Metrics())
        self._retries = RetryPolicy(options.attempts)
        patience = options.metadata_timeout.total_seconds()
        self.downloads = TimedSemaphore(max(1, options.max_connections * 3 // 4), patience, "downloads")
        """An open body holds a connection as long as its reader likes: these leave some for all else."""
        self.listings = TimedSemaphore(MAX_LISTINGS, patience, "listings")
        self._absences = DeniedLookups(self)
        self.looks = TimedSemaphore(max(1, options.max_connections // 4), patience, "looks for listings")
        """HEADs that listings send: all listings together leave connections for everything else."""
        self._life = AsyncExitStack()
        self._going_on: set[asyncio.Task[None]] = set()
        self._server = ""
        """What the store calls itself in its last answer; some have several names."""
        self._client: Any = None
        self._making = asyncio.Lock()
        self._failed: CredentialSourceFailed | None = None
        self._failed_at = 0.0
        self._credentials: RenewableCredentials | None = None
        self._direct: FastClient | None = None

    async def start(self) -> None:
        """Make the client. Sends nothing: a bucket that is down does not keep the server from starting, nor
        do settings of AWS that cannot be used yet. Raises ConfigurationError."""
        with suppress(CredentialSourceFailed):
            await self._made()

    async def stop(self) -> None:
        """Let go of the connections, after what was told to go on by itself has ended."""
        await self.settle()
        await self._life.aclose()
        self._client = None

    async def _made(self) -> Any:
        """botocore's client; made by the first request that can, if not at the start. Raises SourceFailed."""
        async with self._making:
            if self._client is not None:
                return self._client
            now = asyncio.get_running_loop().time()
            if self._failed is not None and now < self._failed_at + _PAUSE_SECONDS:
                raise CredentialSourceFailed(str(self._failed))
            try:
                made = prepared(self.options) or await make_client(self.options)
            except CredentialSourceFailed as failure:
                self._failed, self._failed_at = failure, now
                raise
            self._life.push_async_exit(made.context)
            if made.direct is not None:
                self._life.callback(made.direct.close)
            if made.credentials is not None:
                self._life.push_async_callback(made.credentials.close)
            self._client, self._credentials, self._direct = made.client, made.credentials, made.direct
            self.features.is_at(made.client.meta.endpoint_url)
            return self._client

    def go_on(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start work that must not end half-way, whoever stops waiting for it; `stop` waits."""
        task = asyncio.create_task(work)
        self._going_on.add(task)
        task.add_done_callback(self._ended)
        return task

    async def settle(self) -> None:
        """Wait for what was told to go on."""
        await asyncio.gather(*self._going_on, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._going_on.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            _log.debug("s3.background_task_failed", error=type(failure).__name__)

    def has_parameter(self, api: str, parameter: str) -> bool:
        """Whether the installed botocore knows a parameter of a request."""
        return has_parameter(api, parameter)

    async def call(self, api: str, **parameters: Any) -> Answer:
        """Send one request as `request` does; in another way, or with another one beside it, where the store
        or its policy does not let it be as it is: the older form of listings, no tags, a LIST that tells
        whether what is refused is there at all."""
        if api == "ListObjectsV2":
            return await list_page(self.request, self.features, **parameters)
        if "Tagging" in parameters:
            return await send_tagged(self.request, self.features, api, **parameters)
        try:
            return await self.request(api, **parameters)
        except PermissionDenied as refusal:
            error = await self._absences.settle(api, parameters, refusal)
            if error is refusal:
                raise
            self._contact.succeeded(api)
            raise error from error.__cause__

    async def request(
        self,
        api: str,
        *,
        effort: RequestKind = RequestKind.METADATA,
        moved_bytes: int = 0,
        resumed: bool = False,
        attempts: int | None = None,
        on_unknown: Callable[[], Awaitable[None]] | None = None,
        **parameters: Any,
    ) -> Answer:
        """Send one request, again as long as that may help, and return the answer.

        `moved_bytes` is what the request moves, for its time limit; `resumed` says that it continues an
        earlier one, which makes it a retry on the account; `attempts` bounds them where `s3.attempts` are too
        many; `on_unknown` is awaited after each attempt that the store may have executed although no
        conclusive reply arrived, before the next attempt.

        Raises a StorageError, caused by the `RequestError` of the last attempt, whose `unknown` is true if
        the outcome of any attempt is unknown.
        """
        parameters["Bucket"] = self.options.bucket
        if self.options.requester_pays and has_parameter(api, "RequestPayer"):
            parameters["RequestPayer"] = "requester"
        seconds = time_limit(self.options, effort, moved_bytes)
        deadline = asyncio.get_running_loop().time() + seconds
        unknown = False
        for attempt in itertools.count(1):
            generation = self._credentials.generation if self._credentials else 0
            retry = resumed or attempt > 1
            charge(api, retry=retry)
            try:
                answer = await self._attempt(api, parameters, attempt, deadline)
            except BaseException:
                self._counts.given_up(api, retry=retry)
                raise
            self._counts.ended(api, answer if isinstance(answer, RequestError) else None, retry=retry)
            if not self.features.is_recognised and (server := server_of(answer)) != self._server:
                self._server = server
                self.features.recognise(server)
            if not isinstance(answer, RequestError):
                self._contact.succeeded(api)
                return answer
            if is_denied(answer):
                self._contact.denied(api)
            if answer.unknown and on_unknown is not None:
                await on_unknown()
            answer.unknown = unknown = unknown or answer.unknown
            if attempt == attempts or not await self._try_again(answer, attempt, deadline, generation):
                raise answer.error(str(parameters.get("Key", parameters.get("Prefix", "")))) from answer
        raise AssertionError("unreachable")

    async def _attempt(
        self, api: str, parameters: Answer, attempt: int, deadline: float
    ) -> Answer | RequestError:
        left = deadline - asyncio.get_running_loop().time()
        with span(f"S3.{api}", _attributes(api, parameters, attempt), SpanKind.CLIENT) as current:
            try:
                async with asyncio.timeout(attempt_limit(left, attempt, self.options.attempts)):
                    return _proven(api, without_invalid_etags(await self._send(api, parameters)))
            except Exception as failure:
                trouble = classify(api, failure)
                if trouble is None:
                    raise
                _note(current, trouble)
                return trouble

    async def _send(self, api: str, parameters: Answer) -> Answer:
        client = self._client or await self._made()
        answer: Answer | None = None
        if self._direct is not None:
            answer = await self._direct.send(api, parameters)
        if answer is not None:
            return answer
        async with AsyncExitStack() as held:
            if self._direct is not None:
                # the connections of both ways are counted together
                await held.enter_async_context(await self._direct.permit())
            send = getattr(client, xform_name(api))
            try:
                sent: Answer = await send(**_fresh(parameters))
            except ValueError as error:
                raise unparsable_response(api, error) from error
        return without_invalid_fields(api, sent)

    async def _try_again(self, trouble: RequestError, attempt: int, deadline: float, generation: int) -> bool:
        """Wait for the next attempt; False when there is none."""
        if await self._renewed(trouble, attempt, generation):
            return True
        if trouble.meaning.again is not RetryAdvice.LATER:
            return False
        delay = self._retries.delay(attempt, self._dice())
        if delay is None or asyncio.get_running_loop().time() + delay >= deadline:
            return False
        _log.info(
            "s3.request_retried", api=trouble.api, attempt=attempt, code=trouble.code, status=trouble.status
        )
        await asyncio.sleep(delay)
        return True

    async def _renewed(self, trouble: RequestError, attempt: int, generation: int) -> bool:
        """Whether other credentials than those of this attempt are at hand. Only tried after the first."""
        if self._credentials is None or attempt > 1:
            return False
        stale = trouble.meaning.again is RetryAdvice.RENEWED
        doubtful = trouble.api in _MUTE_APIS and trouble.status in (400, 403)
        if not stale and not doubtful:
            return False
        return await self._credentials.renew(generation, doubtful=not stale)


def server_of(answer: Answer | RequestError) -> str:
    """What the store calls itself in an answer."""
    if isinstance(answer, RequestError):
        return answer.server
    said: str = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("server", "")
    return said


def _proven(api: str, answer: Answer) -> Answer:
    """The answer, if it is one of the store's. Raises Unproven."""
    try:
        require_evidence(api, answer)
    except UnprovenReply:
        if api == "GetObject":
            response_body(answer).close()
        raise
    return answer


def _fresh(parameters: Answer) -> Answer:
    """The parameters with the body at its beginning."""
    if "Body" in parameters:
        parameters["Body"].seek(0)
    return dict(parameters)


def _attributes(api: str, parameters: Answer, attempt: int) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "rpc.system": "aws-api",
        "rpc.service": "S3",
        "rpc.method": api,
        "aws.s3.bucket": parameters["Bucket"],
    }
    if "Key" in parameters:
        attributes["aws.s3.key"] = parameters["Key"]
    if "UploadId" in parameters:
        attributes["aws.s3.upload_id"] = parameters["UploadId"]
    if "PartNumber" in parameters:
        attributes["aws.s3.part_number"] = parameters["PartNumber"]
    if attempt > 1:
        attributes["http.request.resend_count"] = attempt - 1
    return attributes


def _note(current: Span, trouble: RequestError) -> None:
    """Mark a span with what went wrong."""
    current.set_attribute("error.type", trouble.code or str(trouble.status))
    if trouble.status:
        current.set_attribute("http.response.status_code", trouble.status)
    if trouble.status not in _EXPECTED_STATUSES:
        current.set_status(Status(StatusCode.ERROR, str(trouble)))

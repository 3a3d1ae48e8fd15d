"""Sends every request to the bucket: `S3Client.call` is the only way to the store.

    call ─► attempt ─► reply ────────────────────────────► returned
              ▲          └─► request error ─► retry? ──────┐ no: its StorageError is raised
              └───────────── delay ◄───────────────────────┘

Deadlines, retries, credentials, spans and cost accounting are implemented here alone. botocore's own retries
are off.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from typing import Any, Final

from botocore import xform_name
from botocore.exceptions import BotoCoreError
from opentelemetry.trace import SpanKind

from s3sftp.backends.s3.botocore_client import make_client, prepared
from s3sftp.backends.s3.credentials.assumed_role import RoleCredentials
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
from s3sftp.backends.s3.request_spans import (
    endpoint_attributes,
    note_answer,
    note_failure,
    request_attributes,
    without_body,
)
from s3sftp.backends.s3.requests.denied_lookups import DeniedLookups
from s3sftp.backends.s3.requests.list_objects_v1 import list_page
from s3sftp.backends.s3.requests.tagging import send_tagged
from s3sftp.backends.s3.retry_policy import RequestKind, RetryAdvice, RetryPolicy, attempt_limit, time_limit
from s3sftp.errors import PermissionDenied
from s3sftp.runtime.concurrency import TimedSemaphore
from s3sftp.runtime.shared_counters import SharedCounters
from s3sftp.telemetry import charge, get_logger, span
from s3sftp.telemetry.metrics import Metrics

Answer = dict[str, Any]

_log = get_logger("s3sftp.s3")
MAX_LISTINGS: Final = 4
"""Listing pages requested at once. Parsing a thousand keys blocks the event loop for a while."""
_PAUSE_SECONDS: Final = 2.0
"""Pause before settings that could not be used are read again."""
_MUTE_APIS: Final = frozenset({"HeadObject", "HeadBucket"})
"""Requests whose replies have no body, so that stale credentials look like any other refusal."""


class S3Client:
    """The client of one bucket. Call `start` before the first request and `stop` after the last."""

    def __init__(
        self,
        options: S3Options,
        contact: RequestOutcomes | None = None,
        *,
        dice: Callable[[], float] = random.random,
        metrics: Metrics | None = None,
        features: SharedCounters | None = None,
        storage: str = "",
    ) -> None:
        """`storage` is the name by which metrics tell it from others."""
        self.options = options
        self.features = Features(options.lacks, features)
        self._contact = contact or RequestOutcomes()
        self._dice = dice
        self._counts = S3RequestMetrics(metrics or Metrics(), storage)
        self._retries = RetryPolicy(options.attempts)
        patience = options.metadata_timeout.total_seconds()
        self.downloads = TimedSemaphore(max(1, options.max_connections * 3 // 4), patience, "downloads")
        """Limits open downloads. Each holds a connection for as long as its reader likes, so some connections
        are left for other requests."""
        self.listings = TimedSemaphore(MAX_LISTINGS, patience, "listings")
        self._absences = DeniedLookups(self)
        self.lookups = TimedSemaphore(max(1, options.max_connections // 4), patience, "lookups for listings")
        """Limits the HEADs that all listings send together, so that other requests get connections."""
        self._life = AsyncExitStack()
        self._background: set[asyncio.Task[None]] = set()
        self._server = ""
        """The Server header of the latest reply; some stores use several names."""
        self._client: Any = None
        self._endpoint: dict[str, str | int] = {}
        self._making = asyncio.Lock()
        self._failed: CredentialSourceFailed | None = None
        self._failed_at = 0.0
        self._credentials: RenewableCredentials | RoleCredentials | None = None
        self._direct: FastClient | None = None

    async def start(self) -> None:
        """Create the client without sending anything. A bucket that is down does not keep the server from
        starting, nor do AWS settings that cannot be used yet.

        Raises ConfigurationError: if the options contradict each other or name something that is forbidden.
        """
        with suppress(CredentialSourceFailed):
            await self._made()

    async def stop(self) -> None:
        """Wait for the background tasks, then close the connections."""
        await self.drain()
        await self._life.aclose()
        self._client = None

    async def _made(self) -> Any:
        """Return botocore's client. The first request that can creates it, if `start` could not.

        Raises CredentialSourceFailed: if the AWS settings cannot be used, and for `_PAUSE_SECONDS` after
        that.
        """
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
            if made.credentials is not None:
                self._life.push_async_callback(made.credentials.close)
            self._client, self._credentials, self._direct = made.client, made.credentials, made.direct
            self.features.is_at(made.client.meta.endpoint_url)
            self._endpoint = endpoint_attributes(made.client.meta.endpoint_url)
            with suppress(BotoCoreError, OSError):  # each request tries to open the session again
                await made.open()
            return self._client

    def run_in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task that must run to its end even if the caller is cancelled; `stop` waits for it."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._ended)
        return task

    async def drain(self) -> None:
        """Wait for all background tasks started by `run_in_background`."""
        await asyncio.gather(*self._background, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            _log.debug("s3.background_task_failed", error=type(failure).__name__)

    def has_parameter(self, api: str, parameter: str) -> bool:
        """Whether the installed botocore knows a parameter of a request."""
        return has_parameter(api, parameter)

    async def call(self, api: str, **parameters: Any) -> Answer:
        """Send one request like `request`, adapted to what the store and its policy allow.

        Listings fall back to the older request, tags are left out where the store lacks them, and a LIST
        tells whether an object whose lookup was denied exists at all.
        """
        if api == "ListObjectsV2":
            return await list_page(self.request, self.features, **parameters)
        if "Tagging" in parameters:
            return await send_tagged(self.request, self.features, api, **parameters)
        try:
            return await self.request(api, **parameters)
        except PermissionDenied as refusal:
            error = await self._absences.explain(api, parameters, refusal)
            if error is refusal:
                raise
            self._contact.succeeded(api)
            raise error from error.__cause__

    async def request(
        self,
        api: str,
        *,
        kind: RequestKind = RequestKind.METADATA,
        moved_bytes: int = 0,
        resumed: bool = False,
        attempts: int | None = None,
        on_unknown: Callable[[], Awaitable[None]] | None = None,
        **parameters: Any,
    ) -> Answer:
        """Send one request, retry it while that may help, and return the reply.

        `moved_bytes` is the number of bytes that the request moves and extends its time limit. `resumed`
        marks a request that continues an earlier one and is counted as a retry. `attempts` is an upper bound
        besides `s3.attempts`. `on_unknown` is awaited, before any further attempt, after each attempt that
        the store may have executed although no conclusive reply arrived.

        Raises StorageError: if the last attempt failed. Its cause is the `RequestError` of that attempt,
        whose `unknown` is true if the outcome of any attempt is unknown.
        """
        parameters["Bucket"] = self.options.bucket
        if self.options.requester_pays and has_parameter(api, "RequestPayer"):
            parameters["RequestPayer"] = "requester"
        seconds = time_limit(self.options, kind, moved_bytes)
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

        said = without_body(parameters)

        def attributes() -> dict[str, str | int]:
            return request_attributes(api, said, attempt) | self._endpoint

        with span(f"S3.{api}", attributes, SpanKind.CLIENT) as current:
            try:
                async with asyncio.timeout(attempt_limit(left, attempt, self.options.attempts)):
                    answer = _proven(api, without_invalid_etags(await self._send(api, parameters)))
            except Exception as failure:
                request_error = classify(api, failure)
                if request_error is None:
                    raise
                note_failure(current, request_error)
                return request_error
            note_answer(current, answer)
            return answer

    async def _send(self, api: str, parameters: Answer) -> Answer:
        client = self._client or await self._made()
        answer: Answer | None = None
        if self._direct is not None:
            answer = await self._direct.send(api, parameters)
        if answer is not None:
            return answer
        send = getattr(client, xform_name(api))
        try:
            sent: Answer = await send(**_fresh(parameters))
        except ValueError as error:
            raise unparsable_response(api, error) from error
        return without_invalid_fields(api, sent)

    async def _try_again(
        self, request_error: RequestError, attempt: int, deadline: float, generation: int
    ) -> bool:
        """Wait for the next attempt. False if there is none."""
        if await self._renewed(request_error, attempt, generation):
            return True
        if request_error.meaning.retry is not RetryAdvice.LATER:
            return False
        delay = self._retries.delay(attempt, self._dice())
        if delay is None or asyncio.get_running_loop().time() + delay >= deadline:
            return False
        _log.info(
            "s3.request_retried",
            api=request_error.api,
            attempt=attempt,
            code=request_error.code,
            status=request_error.status,
        )
        await asyncio.sleep(delay)
        return True

    async def _renewed(self, request_error: RequestError, attempt: int, generation: int) -> bool:
        """Whether credentials other than those of this attempt are available.

        Tried only after the first attempt.
        """
        if self._credentials is None or attempt > 1:
            return False
        stale = request_error.meaning.retry is RetryAdvice.RENEWED
        doubtful = request_error.api in _MUTE_APIS and request_error.status in (400, 403)
        if not stale and not doubtful:
            return False
        return await self._credentials.renew(generation, doubtful=not stale)


def server_of(answer: Answer | RequestError) -> str:
    """The Server header of a reply."""
    if isinstance(answer, RequestError):
        return answer.server
    said: str = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("server", "")
    return said


def _proven(api: str, answer: Answer) -> Answer:
    """Return the reply if it contains the store's evidence of success.

    Raises UnprovenReply: if it does not.
    """
    try:
        require_evidence(api, answer)
    except UnprovenReply:
        if api == "GetObject":
            response_body(answer).close()
        raise
    return answer


def _fresh(parameters: Answer) -> Answer:
    """Return a copy of the parameters, with the body rewound to its beginning."""
    if "Body" in parameters:
        parameters["Body"].seek(0)
    return dict(parameters)

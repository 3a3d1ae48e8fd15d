"""Posts events to an HTTP service, as CloudEvents in JSON, signed by the Standard Webhooks specification.

2xx                                   accepted, whatever the body
400, 410, 413, 422                    refused: another attempt is useless
408, 429, 5xx, no answer              failed: again, and not before `Retry-After`
anything else (redirects, 401, 404)   failed: an operator has to mend it
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from functools import partial

import aiohttp
from yarl import URL

from s3sftp.config.client_credentials import CredentialFiles, header_in
from s3sftp.errors import ConfigurationError
from s3sftp.events.cloud_event import CONTENT_TYPE, CloudEvent
from s3sftp.events.sink import EventNotTried, EventRefused
from s3sftp.events.sinks.failures import DeliveryFailed
from s3sftp.events.sinks.options import WebhookSinkOptions
from s3sftp.events.sinks.standard_webhooks import secret_in, webhook_headers

BATCH_CONTENT_TYPE = "application/cloudevents-batch+json"
_REFUSED = (400, 410, 413, 422)
_OUR_HEADERS = frozenset(
    (
        *("host", "content-length", "content-type", "transfer-encoding", "traceparent"),
        *("idempotency-key", "webhook-id", "webhook-timestamp", "webhook-signature"),
    )
)
_MAX_BODY_BYTES = 64 << 10
"""What is read of an answer, so that its connection can be used again. A longer one is closed."""
_BODY_SECONDS = 1.0
_MAX_PAUSE_SECONDS = 3600.0
"""The longest pause that a service may ask for."""


class WebhookSink:
    """An EventSink over one URL."""

    def __init__(
        self, name: str, options: WebhookSinkOptions, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock`, in seconds, says whether there is time for another request of a delivery.

        Raises ConfigurationError: if files cannot be used; lists each of them.
        """
        self.name = name
        self.max_batch = options.batch
        self.concurrency = options.concurrency
        self._options = options
        self._limit = options.time_limit.total_seconds()
        self._clock = clock
        files = CredentialFiles(f"events.sinks.{name}")
        self._tls = files.tls(options.ca_file, options.client_cert_file, options.client_key_file)
        header = files.read("header_file", options.header_file, partial(header_in, ours=_OUR_HEADERS))
        secrets = [files.read("secret_files", file, secret_in) for file in options.secret_files]
        if files.problems:
            raise ConfigurationError(files.problems)
        self._secrets = [secret for secret in secrets if secret is not None]
        self._headers = {"Accept-Encoding": "identity", "User-Agent": "s3sftp"}
        if header is not None:
            self._headers |= dict([header])
        self._session: aiohttp.ClientSession | None = None
        self._not_before = 0.0
        """When the service wants the next request, by the clock of the loop."""

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._options.concurrency, ssl=self._tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(),  # `_post` limits the time
            auto_decompress=False,
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def deliver(self, events: Sequence[CloudEvent]) -> Sequence[Exception | None]:
        if self._options.batch == 1:
            return [await self._post([event]) for event in events]
        until = self._clock() + 2 * self._limit
        outcome = await self._post(events)
        if len(events) > 1 and isinstance(outcome, EventRefused):  # one may have spoiled the others
            return await self._post_singly(events, until)
        return [outcome] * len(events)

    async def _post_singly(self, events: Sequence[CloudEvent], until: float) -> Sequence[Exception | None]:
        """Post at least the first event, and as many as there is time for: no post begins after `until`."""
        outcomes: list[Exception | None] = []
        for event in events:
            if outcomes and self._clock() >= until:
                break
            outcomes.append(await self._post([event]))
        return outcomes + [EventNotTried("not tried yet")] * (len(events) - len(outcomes))

    async def _post(self, events: Sequence[CloudEvent]) -> Exception | None:
        now = asyncio.get_running_loop().time()
        if now < self._not_before:
            wait = self._not_before - now
            return DeliveryFailed(f"the service wants no request for {wait:.0f} s", retry_after=wait)
        decided: list[Exception | None] = []
        try:
            async with asyncio.timeout(self._limit):
                return await self._send(events, decided)
        except TimeoutError:
            return decided[0] if decided else DeliveryFailed(f"no answer within {self._limit:g} s")
        except aiohttp.ClientSSLError as error:
            return DeliveryFailed(f"TLS failed: {error}")
        except (aiohttp.ClientPayloadError, aiohttp.ClientResponseError) as error:
            # the whole text of a response error repeats the URL, whose query may be secret
            said = error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
            return DeliveryFailed(f"its answer is not HTTP, or broken off: {' '.join(said.split())[:200]}")
        except (aiohttp.ClientError, OSError) as error:
            return DeliveryFailed(f"{type(error).__name__}: {error}")

    async def _send(self, events: Sequence[CloudEvent], decided: list[Exception | None]) -> Exception | None:
        """The outcome, which is `decided` once the status has come."""
        if self._session is None:
            raise RuntimeError("an event is delivered before the start")
        body, headers = self._request(events)
        async with self._session.post(
            URL(self._options.url, encoded=True), data=body, headers=headers, allow_redirects=False
        ) as response:
            decided.append(self._outcome(response))
            await _finish(response)
        return decided[0]

    def _request(self, events: Sequence[CloudEvent]) -> tuple[bytes, dict[str, str]]:
        texts = [event.to_json() for event in events]
        if self._options.batch == 1:
            body, kind, identifier = texts[0], CONTENT_TYPE, events[0].id
        else:
            body, kind = b"[" + b",".join(texts) + b"]", BATCH_CONTENT_TYPE
            # the same for every attempt with the same events
            identifier = hashlib.sha256("\n".join(event.id for event in events).encode()).hexdigest()
        headers = {"Content-Type": f"{kind}; charset=utf-8", "Idempotency-Key": identifier}
        if len(events) == 1 and events[0].traceparent is not None:
            headers["traceparent"] = events[0].traceparent
        return body, headers | webhook_headers(identifier, int(time.time()), body, self._secrets)

    def _outcome(self, response: aiohttp.ClientResponse) -> Exception | None:
        status = response.status
        if 200 <= status < 300:
            return None
        if status in _REFUSED:
            return EventRefused(f"status {status}")
        if 300 <= status < 400:
            advice = "redirects are not followed, so url should be the final address"
            return DeliveryFailed(f"status {status}: {advice}")
        pause = retry_after_seconds(response.headers.get("Retry-After"), time.time())
        if pause is not None and (status in (408, 429) or status >= 500):
            self._not_before = asyncio.get_running_loop().time() + pause
            return DeliveryFailed(f"status {status}", retry_after=pause)
        return DeliveryFailed(f"status {status}")


def retry_after_seconds(value: str | None, now: float) -> float | None:
    """The seconds that a `Retry-After` header asks for, at most an hour; None if it is missing or invalid.
    `now` is in seconds since the epoch."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit() and len(value) < 20:
        seconds = float(value)
    else:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), _MAX_PAUSE_SECONDS)


async def _finish(response: aiohttp.ClientResponse) -> None:
    """Read the body, which says nothing, so that the connection can be used again. The status has decided:
    nothing here fails."""
    read = 0
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for piece in response.content.iter_any():
                read += len(piece)
                if read > _MAX_BODY_BYTES:
                    break
            else:
                return
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass
    response.close()

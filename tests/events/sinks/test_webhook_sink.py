"""Webhooks: what a service receives, who can check that it is ours, and what its answers mean."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from s3sftp.errors import ConfigurationError
from s3sftp.events.cloud_event import CloudEvent
from s3sftp.events.sink import EventNotTried, EventRefused
from s3sftp.events.sinks import make_sink
from s3sftp.events.sinks.failures import DeliveryFailed
from s3sftp.events.sinks.options import WebhookSinkOptions
from s3sftp.events.sinks.webhook import WebhookSink, retry_after_seconds
from testbed.certificates import Authority
from testbed.processes import free_port
from tests.events.sinks.samples import TRACEPARENT, sample
from tests.support.hook_server import Answer, Hook, breaks_off, endless, hangs, running_hook


def status(number: int, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=number, headers={name.replace("_", "-"): v for name, v in headers.items()})

    return answer


@asynccontextmanager
async def sink_at(url: str, time_limit: float = 60, **options: Any) -> AsyncIterator[WebhookSink]:
    given = WebhookSinkOptions(type="webhook", url=url, time_limit=time_limit, **options)
    sink = make_sink("partner", given)
    assert isinstance(sink, WebhookSink)
    await sink.start()
    try:
        yield sink
    finally:
        await sink.close()


@asynccontextmanager
async def connected(answer: Answer, **options: Any) -> AsyncIterator[tuple[WebhookSink, Hook]]:
    async with running_hook(answer) as hook, sink_at(hook.url, **options) as sink:
        yield sink, hook


async def outcome_of(answer: Answer, **options: Any) -> Exception | None:
    async with connected(answer, **options) as (sink, _):
        [outcome] = await sink.deliver([sample()])
        return outcome


def secret_file(directory: Path, name: str = "secret") -> tuple[Path, str]:
    file, secret = directory / name, f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
    file.write_text(secret + "\n")
    return file, secret


# ── the request ─────────────────────────────────────────────────────────────────────────────────────


async def test_an_event_is_posted_as_structured_json() -> None:
    event = sample(subject="/in/zwölf.csv")
    async with connected(status(204)) as (sink, hook):
        assert await sink.deliver([event]) == [None]
    [request] = hook.asked
    assert (request.method, request.target) == ("POST", "/login")
    assert CloudEvent.from_json(request.body) == event
    assert request.headers["Content-Type"] == "application/cloudevents+json; charset=utf-8"
    assert request.headers["Idempotency-Key"] == request.headers["webhook-id"] == event.id
    assert request.headers["traceparent"] == TRACEPARENT
    assert "webhook-signature" not in request.headers


async def test_a_batch_is_a_list_whose_key_is_the_same_for_every_attempt() -> None:
    events = [sample(id=f"event-{number}") for number in range(3)]
    async with connected(status(500), batch=10) as (sink, hook):
        assert sink.max_batch == 10
        for _ in range(2):
            outcomes = await sink.deliver(events)
            assert [type(each) for each in outcomes] == [DeliveryFailed] * 3
    first, second = hook.asked
    assert first.headers["Content-Type"].startswith("application/cloudevents-batch+json")
    assert [CloudEvent.from_json(json.dumps(each).encode()) for each in json.loads(first.body)] == events
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]


async def test_another_implementation_verifies_the_signature(tmp_path: Path) -> None:
    file, secret = secret_file(tmp_path)
    async with connected(status(200), secret_files=[file]) as (sink, hook):
        await sink.deliver([sample(subject="/in/zwölf.csv")])
    [request] = hook.asked
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert Webhook(secret).verify(request.body, headers)["subject"] == "/in/zwölf.csv"
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(request.body + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret_file(tmp_path, "other")[1]).verify(request.body, headers)


async def test_while_a_secret_is_replaced_both_verify(tmp_path: Path) -> None:
    (new_file, new), (old_file, old) = secret_file(tmp_path, "new"), secret_file(tmp_path, "old")
    async with connected(status(200), secret_files=[new_file, old_file]) as (sink, hook):
        await sink.deliver([sample()])
    headers = {name.lower(): value for name, value in hook.asked[0].headers.items()}
    assert Webhook(new).verify(hook.asked[0].body, headers) == Webhook(old).verify(
        hook.asked[0].body, headers
    )


async def test_a_secret_header_is_sent(tmp_path: Path) -> None:
    (tmp_path / "header").write_text("Authorization: Bearer 4f1c\n")
    async with connected(status(200), header_file=tmp_path / "header") as (sink, hook):
        await sink.deliver([sample()])
    assert hook.asked[0].headers["Authorization"] == "Bearer 4f1c"


# ── what its answer means ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("number", [200, 201, 202, 204])
async def test_any_success_accepts(number: int) -> None:
    assert await outcome_of(status(number)) is None


@pytest.mark.parametrize("number", [400, 410, 413, 422])
async def test_what_says_the_event_is_wrong_refuses_it(number: int) -> None:
    outcome = await outcome_of(status(number))
    assert (type(outcome), str(outcome)) == (EventRefused, f"status {number}")


@pytest.mark.parametrize("number", [401, 403, 404, 405, 408, 409, 429, 500, 502, 503, 504])
async def test_what_time_or_an_operator_mends_is_tried_again(number: int) -> None:
    outcome = await outcome_of(status(number))
    assert (type(outcome), str(outcome)) == (DeliveryFailed, f"status {number}")


@pytest.mark.parametrize("number", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(number: int) -> None:
    async with running_hook(status(200)) as other:
        outcome = await outcome_of(status(number, Location=other.url))
    assert isinstance(outcome, DeliveryFailed)
    assert "redirects are not followed" in str(outcome)
    assert other.asked == []


@pytest.mark.parametrize("number", [429, 503])
async def test_a_pause_that_the_service_asks_for_is_kept(number: int) -> None:
    async with connected(status(number, Retry_After="3000")) as (sink, hook):
        [first] = await sink.deliver([sample()])
        [second] = await sink.deliver([sample()])
    assert isinstance(first, DeliveryFailed)
    assert first.retry_after == 3000
    assert isinstance(second, DeliveryFailed)
    assert second.retry_after is not None
    assert 0 < second.retry_after <= 3000
    assert len(hook.asked) == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("5", 5.0),
        ("0", 0.0),
        ("Tue, 22 Sep 2026 12:00:30 GMT", 30.0),
        ("Tue, 22 Sep 2026 11:00:00 GMT", 0.0),
        ("999999", 3600.0),
        ("soon", None),
        ("-5", None),
    ],
)
def test_a_pause_is_in_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value, 1790078400.0) == seconds


async def test_one_event_that_is_refused_does_not_spoil_its_batch() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        ids = [each["id"] for each in await request.json()]
        return web.Response(status=422 if "event-1" in ids else 200)

    async with connected(answer, batch=10) as (sink, _):
        outcomes = await sink.deliver([sample(id=f"event-{number}") for number in range(3)])
    assert [type(each) for each in outcomes] == [type(None), EventRefused, type(None)]


async def test_what_a_sink_has_no_time_to_post_singly_is_not_tried_and_the_others_count() -> None:
    now = 0.0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal now
        now += 45
        ids = [each["id"] for each in await request.json()]
        return web.Response(status=422 if "event-1" in ids else 200)

    async with running_hook(answer) as hook:
        options = WebhookSinkOptions(type="webhook", url=hook.url, time_limit=60, batch=10)
        sink = WebhookSink("partner", options, clock=lambda: now)
        await sink.start()
        try:
            outcomes = await sink.deliver([sample(id=f"event-{number}") for number in range(5)])
        finally:
            await sink.close()
    tried = [type(None), EventRefused]
    assert [type(each) for each in outcomes] == [*tried, EventNotTried, EventNotTried, EventNotTried]
    assert len(hook.asked) == 3


# ── hostile services ────────────────────────────────────────────────────────────────────────────────


async def test_a_body_without_an_end_is_not_read_and_the_status_counts() -> None:
    assert await outcome_of(endless) is None


async def test_a_body_that_trickles_does_not_delay_the_status_for_long() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b" ")
        await asyncio.sleep(3600)
        return response

    assert await outcome_of(answer) is None


async def test_a_service_that_does_not_answer_is_given_up_after_the_time_limit() -> None:
    outcome = await outcome_of(hangs, time_limit=0.2)
    assert (type(outcome), str(outcome)) == (DeliveryFailed, "no answer within 0.2 s")


async def test_a_connection_that_is_closed_is_worth_another_attempt() -> None:
    assert isinstance(await outcome_of(breaks_off), DeliveryFailed)


async def test_a_service_that_talks_no_http_is_told_without_the_secrets_of_the_url() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with sink_at(f"http://127.0.0.1:{port}/?token=hush") as sink:
            [outcome] = await sink.deliver([sample()])
    assert isinstance(outcome, DeliveryFailed)
    assert str(outcome).startswith("its answer is not HTTP")
    assert "hush" not in str(outcome)


async def test_a_service_that_is_not_there_is_worth_another_attempt() -> None:
    async with sink_at(f"http://127.0.0.1:{free_port()}/") as sink:
        [outcome] = await sink.deliver([sample()])
    assert isinstance(outcome, DeliveryFailed)
    assert "ClientConnectorError" in str(outcome)


# ── TLS ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_certificate_of_an_unknown_authority_is_refused_and_of_a_known_one_accepted(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path)
    async with running_hook(status(200), authority.server("127.0.0.1")) as hook:
        async with sink_at(hook.url) as sink:
            [outcome] = await sink.deliver([sample()])
            assert isinstance(outcome, DeliveryFailed)
            assert str(outcome).startswith("TLS failed")
        async with sink_at(hook.url, ca_file=authority.file) as sink:
            assert await sink.deliver([sample()]) == [None]


async def test_all_files_that_cannot_be_used_are_named_without_their_content(tmp_path: Path) -> None:
    (tmp_path / "short").write_text("whsec_c2hvcnQ=")
    (tmp_path / "header").write_text("webhook-id: mine")
    options = WebhookSinkOptions(
        type="webhook",
        url="https://hooks.example.com/",
        secret_files=[tmp_path / "short", tmp_path / "missing"],
        header_file=tmp_path / "header",
        ca_file=tmp_path / "short",
    )
    with pytest.raises(ConfigurationError) as caught:
        make_sink("partner", options)
    told = "\n".join(caught.value.problems)
    for words in (
        f"events.sinks.partner.secret_files = '{tmp_path}/short': should be `whsec_` and the base64 of 24",
        f"events.sinks.partner.secret_files = '{tmp_path}/missing': No such file or directory",
        "may not set the header webhook-id",
        f"events.sinks.partner.ca_file = '{tmp_path}/short': not usable PEM",
    ):
        assert words in told
    assert "c2hvcnQ" not in told

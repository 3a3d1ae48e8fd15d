"""Users in moto's DynamoDB and Secrets Manager, and a relay in front of it that fails on command."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import boto3
from aiohttp import web

from testbed.processes import free_port
from testbed.s3_store import Store

Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
"""None: the request goes on to moto."""
REGION = "eu-central-1"


@dataclass
class Relay:
    """Notes each request. `fault` may be replaced at any time."""

    port: int
    upstream: str
    fault: Fault | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Of what goes on to moto, which lets requests overtake each other between a condition and its write;
    DynamoDB does not."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.asked.append(json.loads(body))
        if self.fault is not None and (answer := await self.fault(request)) is not None:
            return answer
        headers = {name: value for name, value in request.headers.items() if name != "Host"}
        async with (
            self.turn,
            aiohttp.ClientSession() as session,
            session.post(self.upstream + request.path, data=body, headers=headers) as reply,
        ):
            kind = reply.headers.get("Content-Type", "").partition(";")[0]
            return web.Response(body=await reply.read(), status=reply.status, content_type=kind)


@asynccontextmanager
async def running_relay(moto: Store, port: int = 0) -> AsyncIterator[Relay]:
    """A relay on 127.0.0.1."""
    relay = Relay(port or free_port(), moto.endpoint_url)
    runner = web.ServerRunner(web.Server(relay.handle), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", relay.port).start()
        yield relay
    finally:
        await runner.cleanup()


def errs(code: str, status: int = 400, times: int = 10**6, message: str = "no") -> Fault:
    """The error of a service, so many times."""
    left = times

    async def fault(request: web.Request) -> web.StreamResponse | None:
        nonlocal left
        left -= 1
        if left < 0:
            return None
        return web.json_response({"__type": f"com.amazonaws#{code}", "message": message}, status=status)

    return fault


async def hangs(request: web.Request) -> web.StreamResponse | None:
    """No answer at all."""
    await asyncio.sleep(3600)
    return None


async def babbles(request: web.Request) -> web.StreamResponse | None:
    """An answer that is no JSON."""
    return web.Response(body=b"<html>", content_type="text/html")


async def breaks_off(request: web.Request) -> web.StreamResponse | None:
    """Closes the connection before its answer."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


def loses_the_answer(relay: Relay) -> Fault:
    """The next write is done, and its connection closed without an answer."""

    async def fault(request: web.Request) -> web.StreamResponse | None:
        if not request.headers["X-Amz-Target"].endswith("UpdateItem"):
            return None
        relay.fault = None
        await relay.handle(request)
        return await breaks_off(request)

    return fault


class Aws:
    """Where the tests put users. Blocking calls are short: moto is on this machine."""

    def __init__(self, moto: Store) -> None:
        given = {
            "endpoint_url": moto.endpoint_url,
            "region_name": REGION,
            "aws_access_key_id": moto.access_key,
            "aws_secret_access_key": moto.secret_key,
        }
        self._tables = boto3.resource("dynamodb", **given)
        self._secrets = boto3.client("secretsmanager", **given)
        self.table = f"users-{uuid.uuid4().hex}"
        self.prefix = f"aws/transfer/s-{uuid.uuid4().hex[:17]}/"

    def make_table(self, key: str = "user") -> None:
        self._tables.create_table(
            TableName=self.table,
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )

    def put_item(self, user: str, key: str = "user", **attributes: Any) -> None:
        self._tables.Table(self.table).put_item(Item={key: user, **attributes})

    def put_secret(self, user: str, content: Mapping[str, Any] | str | bytes) -> None:
        text = json.dumps(content) if isinstance(content, Mapping) else content
        kind = "SecretBinary" if isinstance(text, bytes) else "SecretString"
        self._secrets.create_secret(Name=f"{self.prefix}{user}", **{kind: text})

    def delete_secret(self, user: str) -> None:
        self._secrets.delete_secret(SecretId=f"{self.prefix}{user}")

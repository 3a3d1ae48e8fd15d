"""An S3 that has a million keys and stores none: ListObjectsV2 and HEAD, from a formula, no more."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, urlsplit

from testbed.s3_store import Store

PAGE = 1000


@asynccontextmanager
async def synthetic_s3(entries: int, prefix: str) -> AsyncIterator[Store]:
    """Serve `entries` files directly below `prefix`, which ends in a slash."""
    server = await asyncio.start_server(lambda r, w: _serve(r, w, entries, prefix), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield Store("synthetic", f"http://127.0.0.1:{port}", "key", "secret")
    finally:
        server.close()


async def _serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, entries: int, prefix: str
) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            if head.startswith("HEAD "):
                writer.write(_about(head.split(" ")[1], prefix))
                continue
            query = dict(parse_qsl(urlsplit(head.split(" ")[1]).query, keep_blank_values=True))
            status, body = _answer(query, entries, prefix)
            head = (
                f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def _about(target: str, prefix: str) -> bytes:
    match = re.search(rf"/{re.escape(prefix)}file-(\d{{7}})\.csv$", target)
    if match is None:
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    index = int(match[1])
    return (
        f'HTTP/1.1 200 OK\r\nContent-Length: {index}\r\nETag: "{index:032x}"\r\n'
        "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nDate: Fri, 02 Jan 2026 00:00:00 GMT\r\n\r\n"
    ).encode()


def _answer(query: dict[str, str], entries: int, prefix: str) -> tuple[str, bytes]:
    if query.get("list-type") != "2" or query.get("prefix") not in (prefix, ""):
        return "404 Not Found", b""
    start = int(query.get("continuation-token", "0"))
    stop = min(entries, start + min(PAGE, int(query.get("max-keys", PAGE))))
    more = stop < entries
    files = "".join(
        f"<Contents><Key>{prefix}file-{index:07}.csv</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f'<ETag>"{index:032x}"</ETag><Size>{index}</Size><StorageClass>STANDARD</StorageClass></Contents>'
        for index in range(start, stop)
    )
    token = f"<NextContinuationToken>{stop}</NextContinuationToken>" if more else ""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<IsTruncated>{str(more).lower()}</IsTruncated><Prefix>{prefix}</Prefix>"
        f"<KeyCount>{stop - start}</KeyCount>"
        f"{token}{files}</ListBucketResult>"
    )
    return "200 OK", body.encode()

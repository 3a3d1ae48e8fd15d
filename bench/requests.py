"""`python -m bench.requests`: the processor time of one S3 request, made and signed by us, and by botocore.

A store in a process of its own answers at once, so that nothing else is measured. Both ways take turns.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Mapping
from multiprocessing import get_context
from typing import Any

from pydantic import SecretStr

from s3sftp.backends.s3 import S3Options
from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.http.request_body import RequestBody
from s3sftp.backends.s3.http.response_body import read_all, response_body
from testbed.processes import accepts, free_port, wait_until

_FILE = bytes(10_000)
_NAMES = 1000
_REQUESTS: Mapping[str, dict[str, Any]] = {
    "HeadObject": {"Key": "folder/file"},
    "GetObject": {"Key": "folder/file", "Range": "bytes=0-9999"},
    "PutObject": {"Key": "folder/file", "Metadata": {"mtime": "1.5"}, "ChecksumCRC32": "AAAAAA=="},
    "DeleteObject": {"Key": "folder/file"},
    "ListObjectsV2": {"Prefix": "folder/", "Delimiter": "/"},
}
_COUNTS = {"ListObjectsV2": 20}
_COUNT = 300
_ROUNDS = 5


def main() -> None:
    port = free_port()
    playing = get_context("spawn").Process(target=_play, args=(port,), daemon=True)
    playing.start()
    try:
        wait_until(lambda: accepts(port), 20, "the store to be ready")
        figures = asyncio.run(_measure(port))
    finally:
        playing.kill()
    print("CPU milliseconds of one request; medians of", _ROUNDS)
    print(f"{'':15} {'s3sftp':>8} {'aiobotocore':>12} {'ratio':>7}")
    for api, (ours, theirs) in figures.items():
        print(f"{api:15} {ours:8.2f} {theirs:12.2f} {ours / theirs:7.2f}")


async def _measure(port: int) -> dict[str, tuple[float, float]]:
    stores = [S3Client(_options(port, direct=direct)) for direct in (True, False)]
    for store in stores:
        await store.start()
    try:
        figures = {}
        for api in _REQUESTS:
            rounds = [[await _round(store, api) for store in stores] for _ in range(_ROUNDS)]
            figures[api] = (statistics.median(r[0] for r in rounds), statistics.median(r[1] for r in rounds))
        return figures
    finally:
        for store in stores:
            await store.stop()


async def _round(store: S3Client, api: str) -> float:
    """CPU milliseconds for one of many requests, one after the other."""
    count = _COUNTS.get(api, _COUNT)
    await _ask(store, api)
    began = time.process_time()
    for _ in range(count):
        await _ask(store, api)
    return (time.process_time() - began) / count * 1000


async def _ask(store: S3Client, api: str) -> None:
    more = {"Body": RequestBody(_FILE)} if api == "PutObject" else {}
    answer = await store.call(api, **_REQUESTS[api], **more)
    if "Body" in answer:
        await read_all(response_body(answer), len(_FILE), 10)


def _options(port: int, *, direct: bool) -> S3Options:
    return S3Options(
        bucket="bucket",
        endpoint_url=f"http://127.0.0.1:{port}",
        region="us-east-1",
        addressing="path",
        access_key_id=SecretStr("AKIDEXAMPLE"),
        secret_access_key=SecretStr("secret"),
        direct_requests=direct,
    )


def _play(port: int) -> None:
    asyncio.run(_serve(port))


async def _serve(port: int) -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", port)
    await server.serve_forever()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    answers = _answers()
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.lower().split(b"\r\n")
            length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
            await reader.readexactly(length)
            kind = b"LIST" if b"list-type" in lines[0] else head.split()[0]
            writer.write(answers[kind])
    except (OSError, asyncio.IncompleteReadError):
        writer.close()


def _answers() -> dict[bytes, bytes]:
    about = b'Date: Wed, 25 Nov 2026 01:02:03 GMT\r\nETag: "v"\r\nx-amz-request-id: 1\r\n'
    dated = about + b"Last-Modified: Wed, 25 Nov 2026 01:02:03 GMT\r\nx-amz-meta-mtime: 1.5\r\n"
    range_ = b"Content-Range: bytes 0-9999/10000\r\n"
    page = _page()
    return {
        b"HEAD": b"HTTP/1.1 200 OK\r\n" + dated + b"Content-Length: 10000\r\n\r\n",
        b"GET": b"HTTP/1.1 206 Partial\r\n" + dated + range_ + b"Content-Length: 10000\r\n\r\n" + _FILE,
        b"PUT": b"HTTP/1.1 200 OK\r\n" + about + b"Content-Length: 0\r\n\r\n",
        b"DELETE": b"HTTP/1.1 204 No Content\r\n" + about + b"\r\n",
        b"LIST": b"HTTP/1.1 200 OK\r\n" + about + b"Content-Length: %d\r\n\r\n" % len(page) + page,
    }


def _page() -> bytes:
    line = (
        "<Contents><Key>folder/file-{}.csv</Key><LastModified>2026-11-25T01:02:03.000Z</LastModified>"
        "<ETag>&quot;0123456789abcdef0123456789abcdef&quot;</ETag><Size>10000</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
    )
    lines = "".join(line.format(number) for number in range(_NAMES))
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{lines}</ListBucketResult>".encode()


if __name__ == "__main__":
    main()

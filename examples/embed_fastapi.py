"""An SFTP server in the lifespan of a FastAPI application: files come in by SFTP, and are told of by HTTP.

SFTP_PORT=2022 uvicorn --app-dir examples embed_fastapi:app
sftp -P 2022 alice@127.0.0.1              (the password is secret)
curl http://127.0.0.1:8000/uploads
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response

import s3sftp
from s3sftp.backends.memory import MemoryBackend


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    uploads: list[str] = []

    async def arrived(file: s3sftp.Committed) -> None:
        uploads.append(file.path)

    server = s3sftp.Server(
        backend=MemoryBackend(),
        auth=s3sftp.StaticUsers({"alice": "secret"}),
        port=int(os.environ.get("SFTP_PORT", "2022")),
        on_committed=arrived,
    )
    async with server:
        app.state.sftp, app.state.uploads = server, uploads
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/uploads")
async def uploads(request: Request) -> list[str]:
    return list(request.app.state.uploads)


@app.get("/health/ready")
async def ready(request: Request) -> Response:
    return Response(status_code=200 if request.app.state.sftp.ready else 503)

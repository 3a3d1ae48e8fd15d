"""An SFTP server beside an application's other work, in a TaskGroup.

    python examples/embed_taskgroup.py [PORT]
    sftp -P 2022 alice@127.0.0.1              (the password is secret)

Ctrl-C lets running transfers finish; a second one does not.
"""

import asyncio
import contextlib
import itertools
import sys

import s3sftp
from s3sftp.backends.memory import MemoryBackend


async def serve_files(port: int) -> None:
    server = s3sftp.Server(
        backend=MemoryBackend(),
        auth=s3sftp.StaticUsers({"alice": "secret"}),
        port=port,
        on_committed=arrived,
    )
    async with server:
        print(f"listening on {server.port}", flush=True)
        await asyncio.Event().wait()


async def arrived(file: s3sftp.Committed) -> None:
    print(f"{file.session.user} has uploaded {file.path}, {file.size} bytes", flush=True)


async def other_work() -> None:
    for minutes in itertools.count(1):
        await asyncio.sleep(60)
        print(f"still here after {minutes} min", flush=True)


async def main(port: int) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(serve_files(port))
        group.create_task(other_work())


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2022))

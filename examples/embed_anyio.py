"""An SFTP server in an AnyIO application, on its asyncio backend.

    python examples/embed_anyio.py [PORT]
    sftp -P 2022 alice@127.0.0.1              (the password is secret)

The server is asked to leave by an event. To cancel its scope would stop it too, but at once: AnyIO cancels
whatever waits in such a scope again and again, so there would be no time for transfers to finish.
"""

import signal
import sys

import anyio
from anyio.abc import TaskStatus

import s3sftp
from s3sftp.backends.memory import MemoryBackend


async def serve_files(port: int, leave: anyio.Event, *, task_status: TaskStatus[int]) -> None:
    server = s3sftp.Server(
        backend=MemoryBackend(),
        auth=s3sftp.StaticUsers({"alice": "secret"}),
        port=port,
        drain_timeout=10,
    )
    async with server:
        task_status.started(server.port)
        await leave.wait()


async def main(port: int) -> None:
    leave = anyio.Event()
    async with anyio.create_task_group() as group:
        print(f"listening on {await group.start(serve_files, port, leave)}", flush=True)
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                leave.set()
                break


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 2022)

"""Workers with one fault each, and their template: `python -m tests.workers.faulty_workers REQUESTS FAULT …`.

greeter   nothing wrong: says its number to each connection and closes it
deaf      says that it is ready, and then hears nothing, no signal either but SIGUSR1
mute      never says that it is ready
busy      is held up for a while whenever it is asked whether it is there
lingering takes a while to end when it is told to, and hears nothing then
babbler   says what no worker says
dying     ends at once, with status 3
fading    is ready, and ends with its first connection
"""

from __future__ import annotations

import faulthandler
import signal
import socket
import sys
import time
from collections.abc import Sequence

from s3sftp.workers import messages
from s3sftp.workers.template import serve_requests

HELD_UP_SECONDS = 1.5
LINGERING_SECONDS = 5.0


def main(requests: int, *vices: str) -> None:
    def work(number: int, descriptors: Sequence[int]) -> None:
        misbehave(vices[number - 1], socket.socket(fileno=descriptors[0]), number)

    serve_requests(socket.socket(fileno=requests), work)


def misbehave(vice: str, link: socket.socket, number: int) -> None:
    faulthandler.register(signal.SIGUSR1)
    if vice == "dying":
        sys.exit(3)
    if vice != "mute":
        link.send(b"[1]" if vice == "babbler" else messages.encode(messages.WorkerReady()))
    if vice == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _hang()
    while True:
        packet, descriptors, _, _ = socket.recv_fds(link, messages.MAX_BYTES, 1)
        if not packet or isinstance(message := messages.decode(packet), messages.StopWorker):
            time.sleep(LINGERING_SECONDS if vice == "lingering" and packet else 0)
            return
        if isinstance(message, messages.Ping):
            time.sleep(HELD_UP_SECONDS if vice == "busy" else 0)
            link.send(messages.encode(messages.Pong()))
        if isinstance(message, messages.ServeConnection):
            if vice == "fading":
                sys.exit(4)
            with socket.socket(fileno=descriptors[0]) as connection:
                connection.send(f"{number}\n".encode())
                link.send(messages.encode(messages.ConnectionClosed(message.connection_id)))


def _hang() -> None:
    time.sleep(600)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])

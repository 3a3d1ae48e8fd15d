"""A client whose machine vanishes, in a network of its own: `python -m tests.ssh.vanishing_client HOW`.

Prints the reasons with which the server has closed connections.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys

from s3sftp.ssh import asyncssh_internals
from tests.ssh.listener_harness import listener_harness


def link(state: str) -> None:
    subprocess.run(["ip", "link", "set", "lo", state], check=True)


async def main(how: str) -> None:
    link("up")
    async with listener_harness(ssh={"tcp_timeout": 1, "keepalive_interval": 0}) as harness:
        connection = await harness.connect()
        await connection.start_sftp_client()
        (served,) = harness.listener._shared.connections
        link("down")
        if how == "data on its way":
            asyncssh_internals.send_keepalive(served._open_conn)
        await harness.empties()
        print(json.dumps([event["reason"] for event in harness.logged("connection.closed")]), flush=True)
        os._exit(0)  # the client's side would wait for its own time-outs


if __name__ == "__main__":
    logging.disable()
    asyncio.run(main(sys.argv[1]))

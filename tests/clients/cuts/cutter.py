"""Cuts uploads of real clients in each way, lets them go on, and looks at what became of the file."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.clients.cuts.scene import Scene
from tests.support.client_workspace import digest_of
from tests.support.commands import Running
from tests.support.server import Server

CLIENTS: Final = ("openssh reput", "lftp put -c", "paramiko append")
CUTS: Final = (
    "TCP reset",
    "TCP reset, another replica",
    "SIGKILL of the client",
    "SIGKILL of the only server",
    "SIGKILL of one worker of two",
    "SIGTERM with drain, another replica",
)
_TIMEOUT: Final = 600.0
_PARAMIKO: Final = """
import sys, paramiko
host, port, user, password, known, local, remote, mode = sys.argv[1:]
with paramiko.SSHClient() as client:
    client.load_host_keys(known)
    client.connect(host, int(port), user, password, look_for_keys=False, allow_agent=False)
    with client.open_sftp() as sftp, sftp.open(remote, mode) as file, open(local, "rb") as source:
        file.set_pipelined(True)
        source.seek(file.tell())
        while data := source.read(1 << 20):
            file.write(data)
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one upload that was cut."""

    client: str
    cut: str
    percent: int
    safe: int | None
    """What STAT said afterwards; None if nothing was kept."""
    again: int
    """Bytes that were sent twice, those of SSH included."""
    is_equal: bool
    """Whether the digest of the stored file is that of the local one, and nothing hidden was left."""


async def start_upload(scene: Scene, client: str, file: Path, *, again: bool = False) -> Running:
    """Start the upload of a file, or to go on with it, by the client whose name begins this text."""
    desk, remote = scene.desk, f"{scene.desk.remote}/x"
    match client.partition(" ")[0]:
        case "openssh":
            return await desk.clients.start_sftp(f"{'reput' if again else 'put'} {file} {remote}")
        case "lftp":
            lines = ("set net:max-retries 1", f"put {'-c ' if again else ''}{file} -o {remote}")
            return await desk.clients.start_lftp(*lines)
        case _:
            known = desk.server
            words = (known.host, str(known.port), known.user, known.password, str(known.known_hosts))
            mode = "ab" if again else "wb"
            return await Running.start([sys.executable, "-c", _PARAMIKO, *words, str(file), remote, mode])


async def cut_and_go_on(scene: Scene, client: str, cut: str, percent: int, file: Path) -> Outcome:
    """Upload a file, cut it there, and go on with it; the file is removed from the server afterwards.

    Raises AssertionError: if anything was published before the end, or the client failed to go on.
    """
    size = file.stat().st_size
    first, other = scene.servers
    server = other if "worker" in cut else first
    scene.lead_to(server)
    kept = server.count("upload.kept")
    committed = sum(each.count("upload.committed") for each in scene.servers)
    started: list[Running] = []

    async def kill_client() -> None:
        await started[0].kill()

    async def kill_server() -> None:
        server.kill()

    async def kill_worker() -> None:
        os.kill(_pid_of_latest(server), signal.SIGKILL)

    async def stop_server() -> None:
        server.terminate()

    action: dict[str, Callable[[], Awaitable[None]]] = {
        CUTS[2]: kill_client,
        CUTS[3]: kill_server,
        CUTS[4]: kill_worker,
        CUTS[5]: stop_server,
    }
    at, is_done = size * percent // 100, asyncio.Event()

    async def act() -> None:
        if cut in action:
            await action[cut]()
        is_done.set()

    scene.line.cut_at(at, act, resets=cut not in action)
    async with await start_upload(scene, client, file) as running:
        started.append(running)
        (await running.result(_TIMEOUT)).failed()
    assert is_done.is_set(), cut
    if cut in (CUTS[3], CUTS[5]):
        await server.ended(120)
    if "SIGKILL of the only" not in cut and "worker" not in cut:
        await server.until(lambda: server.count("upload.kept") > kept, "the upload to be kept", 120)
    keys = await scene.desk.keys()
    assert keys in ([], [""]), keys
    assert sum(each.count("upload.committed") for each in scene.servers) == committed
    if cut == CUTS[3]:
        await scene.restart(server)
    elif "another replica" in cut:
        scene.lead_to(other)
    safe = await scene.size()
    scene.line.cut_at(None)
    async with await start_upload(scene, client, file, again=safe is not None) as running:
        (await running.result(_TIMEOUT)).ok()
    again = max(0, at + scene.line.sent - size)
    is_equal = await _is_equal(scene, file)
    if cut == CUTS[5]:
        await scene.restart(server)
    await scene.desk.s3.delete(f"{scene.desk.key_prefix}x")
    return Outcome(client, cut, percent, safe, again, is_equal)


def _pid_of_latest(server: Server) -> int:
    """The worker that has the latest upload."""
    latest = [event for event in server.events() if "worker" in event and event["event"] == "login.accepted"]
    pids = {event["worker"]: event["pid"] for event in server.events("worker.started")}
    return int(pids[latest[-1]["worker"]])


async def _is_equal(scene: Scene, file: Path) -> bool:
    stored = scene.desk.local / "stored"
    await asyncio.to_thread(stored.write_bytes, await scene.desk.body("x"))
    try:
        await scene.nothing_hidden_is_left()
        return await asyncio.to_thread(digest_of, stored) == await asyncio.to_thread(digest_of, file)
    finally:
        stored.unlink()

"""Pings workers and kills those that hang; the supervisor replaces them like any that ends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NoReturn

from s3sftp.telemetry import get_logger
from s3sftp.workers.heartbeat import HeartbeatAction, HeartbeatPolicy
from s3sftp.workers.worker_process import WorkerProcess

_log = get_logger("s3sftp.workers")


async def watch(workers: Mapping[int, WorkerProcess], patience: HeartbeatPolicy) -> NoReturn:
    """Ping every ready worker at an interval, and kill those that do not answer; runs until cancelled.

    `workers` is a live view. Cancel this before workers are told to stop: then each has its time to finish.
    """
    while True:
        # if this process is suspended, one interval becomes longer; no beats accumulate
        await asyncio.sleep(patience.interval_seconds)
        for worker in workers.values():
            if worker.ready:
                worker.beat()
                _act(worker, patience)


def _act(worker: WorkerProcess, patience: HeartbeatPolicy) -> None:
    log = _log.bind(
        worker=worker.number, pid=worker.pid, silent_seconds=patience.silent_seconds(worker.pulse)
    )
    match patience.step(worker.pulse):
        case HeartbeatAction.LEAVE_OUT:
            log.warning("worker.unresponsive", detail="it gets no new connections until it answers")
        case HeartbeatAction.ASK_WHY:
            log.error(
                "worker.hung",
                detail="it has been asked to write what it waits for to standard error, and will be killed",
                kill_seconds=round(patience.interval_seconds, 1),
            )
            worker.ask_why()
        case HeartbeatAction.KILL:
            log.error("worker.killed", reason="it did not answer for server.worker_timeout")
            worker.kill()

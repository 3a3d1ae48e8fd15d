"""Notices workers that hang alive, so that they end and are replaced like any that ends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NoReturn

from s3sftp.telemetry import get_logger
from s3sftp.workers.heartbeat import HeartbeatAction, HeartbeatPolicy
from s3sftp.workers.worker_process import WorkerProcess

_log = get_logger("s3sftp.workers")


async def watch(workers: Mapping[int, WorkerProcess], patience: HeartbeatPolicy) -> NoReturn:
    """Ask every worker that is ready, at an interval, and kill those that do not answer; until cancelled.

    `workers` changes under us. Not to run when they are told to stop: then each has its time to finish.
    """
    while True:
        # a pause of this process makes one interval longer, and no more of them
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

"""Pings workers and kills those that hang; the supervisor replaces them like any that ends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NoReturn

from s3sftp.telemetry import get_logger
from s3sftp.workers.heartbeat import HeartbeatAction, HeartbeatPolicy
from s3sftp.workers.worker_process import WorkerProcess

_log = get_logger("s3sftp.workers")


async def watch(workers: Mapping[int, WorkerProcess], policy: HeartbeatPolicy) -> NoReturn:
    """Ping every ready worker at an interval, and kill those that do not answer; runs until cancelled.

    `workers` is a live view. Cancel this before workers are asked to stop: then each has its time to finish.
    """
    while True:
        # if this process is suspended, one interval becomes longer; no beats accumulate
        await asyncio.sleep(policy.interval_seconds)
        for worker in workers.values():
            if worker.ready:
                worker.ping()
                _act(worker, policy)


def _act(worker: WorkerProcess, policy: HeartbeatPolicy) -> None:
    log = _log.bind(
        worker=worker.number, pid=worker.pid, silent_seconds=policy.silent_seconds(worker.heartbeat)
    )
    match policy.step(worker.heartbeat):
        case HeartbeatAction.LEAVE_OUT:
            log.warning("worker.unresponsive", detail="it gets no new connections until it answers")
        case HeartbeatAction.DUMP_TASKS:
            log.error(
                "worker.hung",
                detail="it has been asked to write what it waits for to standard error, and will be killed",
                kill_seconds=round(policy.interval_seconds, 1),
            )
            worker.dump_tasks()
        case HeartbeatAction.KILL:
            log.error("worker.killed", reason="it did not answer for server.worker_timeout")
            worker.kill()

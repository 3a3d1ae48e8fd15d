"""Starts workers, replaces those that end, and stops them all.

start    bind ─► the first worker ─► listen ─► the others
run      a worker that ends is replaced, with backoff if it keeps failing; one that hangs is killed
stop     close the sockets ─► every worker finishes what runs ─► those that do not end are killed
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from s3sftp.errors import S3sftpError
from s3sftp.runtime.backoff import Backoff
from s3sftp.runtime.shutdown import ShutdownRequests
from s3sftp.ssh import Acceptor, ListenOptions, ServerAdmissionGate, bind
from s3sftp.telemetry import get_logger
from s3sftp.workers.balancing import LeastConnections
from s3sftp.workers.heartbeat import HeartbeatPolicy
from s3sftp.workers.questions import NoAnswer
from s3sftp.workers.template import CannotStartWorker
from s3sftp.workers.watchdog import watch
from s3sftp.workers.worker_process import Start, WorkerProcess

_log = get_logger("s3sftp.workers")
_BACKOFF = Backoff(first=0.1, longest=30.0)
_HEALTHY_SECONDS = 60.0
"""A worker that ran for at least this long is replaced without delay."""


class WorkersFailed(S3sftpError):
    """The first worker ended before it was ready; its own log has the reason."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the worker ended with status {status}")
        self.status = status if status > 0 else 1


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """How many workers there are, and how each is started."""

    count: int
    start: Start
    gone: Callable[[int], None] = lambda _number: None
    """Called with the number of a worker that has ended, before its successor starts."""
    other_descriptors: int = 0
    """File descriptors that each worker opens besides connections."""
    heartbeat: HeartbeatPolicy | None = None
    """When a worker counts as hung; None: workers are not pinged."""
    supervisor_descriptors: int = 0
    """File descriptors that the supervisor opens besides connections."""


class Supervisor:
    """The process that clients connect to. Call `run` once."""

    def __init__(
        self,
        listen: ListenOptions,
        gate: ServerAdmissionGate,
        spec: WorkerSpec,
        drain_seconds: float,
        hurry_seconds: float,
        delay_seconds: float = 0.0,
    ) -> None:
        """The first request to stop takes effect after `delay_seconds`, or when the second request comes.
        Workers that have not ended are killed `drain_seconds` + `hurry_seconds` later, or `hurry_seconds`
        after the second request."""
        self._listen = listen
        self._gate = gate
        self._spec = spec
        self._drain_seconds = drain_seconds
        self._hurry_seconds = hurry_seconds
        self._delay_seconds = delay_seconds
        self._workers: dict[int, WorkerProcess] = {}
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._acceptor: Acceptor | None = None
        self._users: int | None = None
        self.greeting: bytes | None = None
        """A question that each worker is asked when it is ready; its answer is dropped."""
        self.is_open = False
        """Whether connections are accepted, or have been."""
        self.is_stopping = False
        """Whether a request to stop has come."""

    @property
    def workers(self) -> Mapping[int, WorkerProcess]:
        """Workers by number, each the latest that was started under it."""
        return self._workers

    @property
    def workers_ready(self) -> int:
        """How many workers can take connections."""
        return sum(worker.ready for worker in self._workers.values())

    def send_users(self, users: int) -> None:
        """Give every worker a file that describes how users have changed, now or when it is started.

        The file is closed when another one replaces it, or at the end.
        """
        before, self._users = self._users, users
        for worker in self._workers.values():
            worker.send_users(users)
        if before is not None:
            os.close(before)

    async def run(
        self,
        started: Callable[[], None] = lambda: None,
        opened: Callable[[], None] = lambda: None,
        stop: ShutdownRequests | None = None,
    ) -> None:
        """Serve until SIGTERM or SIGINT, then drain and stop; a second signal cuts the draining short.

        `opened` is called when connections are accepted, `started` when all workers are ready. Requests to
        stop are SIGTERM, SIGINT, and those that `stop` has.

        Raises CannotListen: if the address cannot be listened on.
        Raises WorkersFailed: if the first worker ends before it is ready.
        Raises CannotStartWorker: if the system cannot start a worker process.
        """
        stop = stop or ShutdownRequests()
        stop.install()
        balancer = LeastConnections(self._workers, self._spec.other_descriptors)
        self._acceptor = Acceptor(
            self._gate, self._listen, bind(self._listen), balancer, self._spec.supervisor_descriptors
        )
        keeping: list[asyncio.Task[None]] = []
        watching = asyncio.create_task(self._watch())
        stop_requested = asyncio.create_task(stop.wait())
        try:
            keeping.append(await self._first(stop_requested))
            keeping += [asyncio.create_task(self._keep(number)) for number in range(2, self._spec.count + 1)]
            if not stop_requested.done():
                self._open(self._acceptor)
                opened()
                await self._until_all_are_ready(stop_requested)
                started()
                await stop_requested
                self.is_stopping = True
                await self._linger(stop)
            self.is_stopping = True
            _log.info("server.stopping", drain_seconds=self._drain_seconds)
            watching.cancel()
            await self._stop(stop, keeping)
        finally:
            self._acceptor.close()
            stop_requested.cancel()
            watching.cancel()
            await self._end(keeping)
            if self._users is not None:
                os.close(self._users)
                self._users = None
        _log.info("server.stopped")

    async def _first(self, stop_requested: asyncio.Task[None]) -> asyncio.Task[None]:
        """Start the first worker and wait until it is ready; return the task that keeps it running.

        Raises WorkersFailed: if it ends before it is ready.
        Raises CannotStartWorker: if the system cannot start a process.
        """
        try:
            worker = await self._started(1)
        except (OSError, MemoryError) as error:
            raise CannotStartWorker.because(error) from error
        ended = asyncio.create_task(worker.ended())
        while not (worker.ready or ended.done() or stop_requested.done()):
            await self._change_or({ended, stop_requested})
        if ended.done() and not worker.ready:
            raise WorkersFailed(ended.result())
        return asyncio.create_task(self._keep(1, worker, ended))

    async def _watch(self) -> None:
        if self._spec.heartbeat is not None:
            await watch(self._workers, self._spec.heartbeat)

    async def _linger(self, stop: ShutdownRequests) -> None:
        """Keep serving until load balancers have had time to send new connections elsewhere."""
        if self._delay_seconds:
            _log.info("server.draining", delay_seconds=self._delay_seconds)
            await stop.linger(self._delay_seconds)

    def _open(self, acceptor: Acceptor) -> None:
        acceptor.open()
        self.is_open = True
        _log.info("server.listening", host=self._listen.host or "*", port=acceptor.port)

    async def _until_all_are_ready(self, stop_requested: asyncio.Task[None]) -> None:
        while not stop_requested.done() and self.workers_ready < self._spec.count:
            await self._change_or({stop_requested})

    async def _change_or(self, others: set[asyncio.Task[Any]]) -> None:
        """Wait until a worker's state has changed, or one of the other tasks is done."""
        changing = asyncio.create_task(self._next_change())
        await asyncio.wait({*others, changing}, return_when=asyncio.FIRST_COMPLETED)
        changing.cancel()

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _on_ready(self, worker: WorkerProcess) -> None:
        if self.greeting is not None:
            with suppress(NoAnswer):
                worker.questions.ask(self.greeting)

    def _on_change(self) -> None:
        self._changed.set()
        if self._acceptor is not None:
            self._acceptor.resume()

    async def _started(self, number: int) -> WorkerProcess:
        worker = self._workers[number] = WorkerProcess(number, self._on_change, self._on_ready)
        await worker.start(self._spec.start)
        if self._users is not None:
            worker.send_users(self._users)
        _log.info("worker.started", worker=number, pid=worker.pid)
        return worker

    async def _keep(
        self, number: int, worker: WorkerProcess | None = None, ended: asyncio.Task[int] | None = None
    ) -> None:
        """Run a worker, and replace it each time it ends."""
        loop = asyncio.get_running_loop()
        failures = 1
        while not self._stopping.is_set():
            began = loop.time()
            try:
                worker = worker or await self._started(number)
                if self._stopping.is_set():
                    worker.stop()
                status: int | str = await (ended or self._until_ended(worker))
            except (OSError, MemoryError, RuntimeError) as error:  # the system has no process or thread left
                status = str(error) or type(error).__name__
            if self._stopping.is_set():
                return
            self._spec.gone(number)
            healthy = loop.time() - began >= _HEALTHY_SECONDS
            failures = 1 if healthy else failures + 1
            delay = _BACKOFF.delay(failures)
            _log.error("worker.exited", worker=number, status=status, restart_seconds=round(delay, 1))
            worker = ended = None
            await asyncio.sleep(delay)

    async def _until_ended(self, worker: WorkerProcess) -> int:
        """Wait for a worker's end. One that has closed its connection gets its time to finish and is then
        killed."""
        ending = asyncio.create_task(worker.ended())
        await asyncio.wait(
            {ending, hung_up := asyncio.create_task(worker.hung_up.wait())},
            return_when=asyncio.FIRST_COMPLETED,
        )
        hung_up.cancel()
        if not ending.done():
            await asyncio.wait({ending}, timeout=self._drain_seconds + self._hurry_seconds)
            worker.kill()
        return await ending

    async def _stop(self, stop: ShutdownRequests, keeping: Sequence[asyncio.Task[None]]) -> None:
        """Have every worker finish within its time limits."""
        self._stopping.set()
        if self._acceptor is not None:
            self._acceptor.close()
        for worker in self._workers.values():
            worker.stop()
        ending = asyncio.create_task(self._all_end())
        hurry = asyncio.create_task(stop.wait(2))
        limit = self._drain_seconds + self._hurry_seconds
        await asyncio.wait({ending, hurry}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if hurry.done() and not ending.done():
            for worker in self._workers.values():
                worker.stop()
            await asyncio.wait({ending}, timeout=self._hurry_seconds)
        hurry.cancel()
        ending.cancel()

    async def _end(self, keeping: Sequence[asyncio.Task[None]]) -> None:
        """Kill all workers that remain."""
        self._stopping.set()
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)
        for worker in self._workers.values():
            if worker.running:
                _log.error("worker.killed", worker=worker.number, pid=worker.pid)
                worker.kill()
        await self._all_end()

    async def _all_end(self) -> None:
        await asyncio.gather(*(worker.ended() for worker in self._workers.values()))

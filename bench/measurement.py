"""One measurement: a fresh server and a fresh relay, the work, and what it took."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.clients import rclone
from bench.environment import BenchEnvironment, Place
from bench.failures import Failed, WrongResult
from bench.meter import Meter
from bench.peers import PeerServer, Storage
from bench.records import Sample
from bench.relay.remote import Relay
from bench.serving import Serving, serving
from bench.settings import SETTINGS, Setting
from bench.stored_objects import Stored
from bench.work import Task, Workload
from testbed.s3_store import Store

SEED_SECONDS = 600
SAID = 1000
"""Characters that are kept of what failed, and of what the server said last."""


def measure(
    environment: BenchEnvironment, work: Workload, setting: str, peer: PeerServer, run: int, *, check: bool
) -> Sample:
    """Do it once. A failure is a sample too; `check` compares what was moved, after the measurement."""
    said: list[str] = []
    try:
        with (
            environment.scratch() as scratch,
            _relay(environment, work, setting, scratch) as (relay, store),
            _place(environment, work, peer) as place,
            serving(peer, environment.site(place, scratch / "server", store)) as running,
            _last_words(running, said),
        ):
            return _measured(environment, work, setting, running, relay, run, check=check)
    except (Failed, OSError, RuntimeError, TimeoutError) as error:
        text = _without_paths("\n".join([str(error)[:SAID], *(words[-SAID:] for words in said)]), environment)
        return Sample(work.name, setting, peer.name, run, failure=text, wrong=isinstance(error, WrongResult))


@contextmanager
def _last_words(running: Serving, said: list[str]) -> Iterator[None]:
    """Keep what a server said when something goes wrong."""
    try:
        yield
    except Exception:
        said.append(running.last_words())
        raise


def _measured(
    environment: BenchEnvironment,
    work: Workload,
    setting: str,
    running: Serving,
    relay: Relay,
    run: int,
    *,
    check: bool,
) -> Sample:
    scratch = running.site.directory
    stored = Stored(environment, running, scratch)
    task = Task(running, environment.material, scratch, stored.await_all, stored.check)
    _give_memory_its_files(work, task)
    meter = Meter(running.process.pid)
    relay.reset()
    meter.start()
    try:
        outcome = work.run(task)
        cpu_seconds, peak = meter.stop()
    finally:
        meter.cancel()
    traffic = relay.traffic()
    if check:
        _check(work, task)
    late = {"stored_late_seconds": stored.waited_seconds} if stored.waited_seconds else {}
    return Sample(
        work=work.name,
        setting=setting,
        peer=running.peer.name,
        run=run,
        seconds=outcome.seconds,
        bytes=outcome.bytes,
        files=outcome.files,
        cpu_seconds=cpu_seconds,
        peak_memory=peak,
        requests=traffic.requests,
        connections=traffic.connections,
        sent=traffic.sent,
        received=traffic.received,
        cipher=outcome.cipher,
        relay_cpu_seconds=traffic.cpu_seconds,
        client_cpu_seconds=outcome.client_cpu_seconds,
        values={**outcome.values, **late},
    )


def _check(work: Workload, task: Task) -> None:
    try:
        work.check(task)
    except Failed as error:
        raise WrongResult(f"THE BYTES ARE WRONG: {error}") from error


def _give_memory_its_files(work: Workload, task: Task) -> None:
    if work.seed and task.serving.peer.storage is Storage.MEMORY:
        source, target = str(task.material.path(work.seed)), f"server:{task.serving.remote(work.seed)}"
        rclone.copy(task.serving, source, target, task.scratch, SEED_SECONDS)


@contextmanager
def _relay(
    environment: BenchEnvironment, work: Workload, setting: str, scratch: Path
) -> Iterator[tuple[Relay, Store]]:
    store = _store(environment, work, SETTINGS[setting])
    scheme, _, address = store.endpoint_url.partition("://")
    port = int(address.rpartition(":")[2])
    with Relay(port, SETTINGS[setting].shape, scratch / "relay.log") as relay:
        yield relay, store.behind(f"{scheme}://127.0.0.1:{relay.port}")


def _store(environment: BenchEnvironment, work: Workload, setting: Setting) -> Store:
    if work.names:
        return environment.synthetic(work.names).store
    return environment.store_over_tls if setting.tls else environment.store


@contextmanager
def _place(environment: BenchEnvironment, work: Workload, peer: PeerServer) -> Iterator[Place]:
    if work.names:
        yield Place("synthetic", environment.directory)
        return
    with environment.place(peer, work.seed, shared=not work.changes) as place:
        yield place


def _without_paths(text: str, environment: BenchEnvironment) -> str:
    return text.replace(str(environment.directory), "…")

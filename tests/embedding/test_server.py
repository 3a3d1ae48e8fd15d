"""The server as an object: its life, and that nothing of it is left behind or shared.

serving        real clients, and who is told that it is ready
ending         drained, at its limit, cancelled: nothing half, nothing left
starting       what fails, is cancelled or is done twice leaves nothing open
apart          other servers, host keys, the application's logging and imports
subscribers    as far as they touch start and stop; what they are told is in `tests/events`
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import asyncssh
import pytest

import s3sftp
from s3sftp import AuthOptions, Committed, Identity, Server, StaticUsers, Subscriber
from s3sftp.backends import MountRole, Place
from s3sftp.backends.memory import MemoryBackend
from s3sftp.backends.service import Mailbox, serve
from s3sftp.errors import ConfigurationError, StorageFailure
from s3sftp.fs import Mount
from s3sftp.ssh import CannotListen
from s3sftp.ssh.host_keys import generate
from testbed.processes import free_port
from tests.embedding.password_clients import (
    HOST_KEY,
    PASSWORD,
    connect,
    is_closed_soon,
    listening_sockets,
    openssh,
    paramiko_sftp,
    server_of,
    write,
)
from tests.support.logs import capture_events


class Diary(MemoryBackend):
    """Notes its starts and stops; the first `bad_starts` fail, in the middle of what they do."""

    def __init__(self, bad_starts: int = 0) -> None:
        super().__init__()
        self.bad_starts = bad_starts
        self.notes: list[str] = []
        self.ready = True

    async def start(self) -> None:
        self.notes.append("start")
        await asyncio.sleep(0)
        if self.bad_starts:
            self.bad_starts -= 1
            raise StorageFailure("no disk")

    async def stop(self) -> None:
        self.notes.append("stop")


# ── serving ───────────────────────────────────────────────────────────────────────────────────────────


async def test_it_serves_real_clients_while_the_block_runs_and_not_after(tmp_path: Path) -> None:
    backend = MemoryBackend()
    local = write(tmp_path / "local", b"hello")
    async with server_of(backend) as server:
        port = server.port
        assert port > 0
        (await openssh(port, f"put {local} /report", "ls /")).ok()
        assert backend.contents() == {"report": b"hello"}

        def read() -> bytes:
            with paramiko_sftp(port) as sftp:
                return sftp.open("/report").read()

        assert await asyncio.to_thread(read) == b"hello"
    assert await is_closed_soon(port)


async def test_it_is_ready_from_its_start_until_it_drains_unless_the_backend_is_not() -> None:
    backend = Diary()
    server = server_of(backend)
    assert (server.ready, server.port, server.connections) == (False, 0, 0)
    async with server:
        assert server.ready
        backend.ready = False
        assert not server.ready
        backend.ready = True
        connection = await connect(server.port)
        sftp = await connection.start_sftp_client()
        file = await sftp.open("/f", "wb")
        draining = asyncio.create_task(server.drain())
        await asyncio.sleep(0.05)
        assert not server.ready
        await file.close()
        assert await draining
    assert not server.ready
    assert backend.notes == ["start", "stop"]


# ── ending ────────────────────────────────────────────────────────────────────────────────────────────


async def test_leaving_lets_a_running_upload_finish_and_its_event_be_delivered() -> None:
    backend, heard = MemoryBackend(), []

    async def hear(event: s3sftp.Committed) -> None:
        await asyncio.sleep(0.1)
        heard.append(event.path)

    async with server_of(backend, on_committed=hear, drain_timeout=20) as server:
        connection = await connect(server.port)
        file = await (await connection.start_sftp_client()).open("/f", "wb")
        await file.write(b"first half, ")

        async def go_on() -> None:
            await asyncio.sleep(0.2)
            assert not server.ready
            await file.write(b"second half")
            await file.close()

        finishing = asyncio.create_task(go_on())
    await finishing
    assert backend.contents() == {"f": b"first half, second half"}
    assert heard == ["/f"]


async def test_who_drains_by_hand_knows_that_events_are_delivered_or_that_some_are_not() -> None:
    heard, gate = [], asyncio.Event()

    async def hear(event: s3sftp.Committed) -> None:
        await asyncio.sleep(0.3)
        heard.append(event.path)
        if event.path == "/stuck":
            await gate.wait()

    for name, drained, seconds in (("/f", True, 20), ("/stuck", False, 1)):
        async with server_of(on_committed=hear, drain_timeout=seconds) as server:
            async with await connect(server.port) as connection, connection.start_sftp_client() as sftp:
                async with sftp.open(name, "wb") as file:
                    await file.write(b"x")
            assert await server.drain() is drained
            assert heard.pop() == name


async def test_draining_ends_at_its_limit_and_nothing_half_is_published() -> None:
    backend = MemoryBackend()
    async with server_of(backend, drain_timeout=0.2) as server:
        connection = await connect(server.port)
        file = await (await connection.start_sftp_client()).open("/f", "wb")
        await file.write(b"half")
        began = asyncio.get_running_loop().time()
    assert 0.2 <= asyncio.get_running_loop().time() - began < 30
    assert backend.contents() == {}
    assert backend.open_uploads == 0


async def test_users_who_are_sent_away_leave_nothing_half_and_others_stay() -> None:
    backend = MemoryBackend()
    users = StaticUsers({"alice": PASSWORD, "bob": PASSWORD})
    async with server_of(backend, auth=users) as server:
        alice, *bobs = [await connect(server.port, user) for user in ("alice", "bob", "bob")]
        goes_on = await (await alice.start_sftp_client()).open("/goes-on", "wb")
        half = await (await bobs[0].start_sftp_client()).open("/half", "wb")
        for file in (goes_on, half):
            await file.write(b"half")
        assert backend.open_uploads == 2
        with capture_events() as events:
            server.send_away({"bob", "nobody"}, "closed for the day")
            server.send_away({"bob"}, "who is leaving already")
            with pytest.raises((asyncssh.Error, ConnectionError)):
                await bobs[1].start_sftp_client()
            async with asyncio.timeout(20):
                for bob in bobs:
                    await bob.wait_closed()
        ended = [event for event in events if event["event"] == "connection.ending"]
        assert [(event["user"], event["reason"]) for event in ended] == [("bob", "closed for the day")] * 2
        await goes_on.close()
        (await connect(server.port, "bob")).abort()  # who may come in, the authenticator says
    assert set(backend.contents()) == {"goes-on"}
    assert backend.open_uploads == 0


async def test_being_cancelled_while_it_drains_cuts_that_short_and_still_stops_everything() -> None:
    backend, inside = Diary(), asyncio.Event()

    async def serve() -> None:
        async with server_of(backend, drain_timeout=600) as server:
            connection = await connect(server.port)
            file = await (await connection.start_sftp_client()).open("/f", "wb")
            await file.write(b"half")
            ports.append(server.port)
            inside.set()
            await asyncio.Event().wait()

    ports: list[int] = []
    serving = asyncio.create_task(serve())
    await inside.wait()
    serving.cancel()
    await asyncio.sleep(0.2)
    assert not serving.done(), "one request to end is no reason to cut a transfer off"
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(serving, 30)
    assert backend.notes == ["start", "stop"]
    assert backend.contents() == {}
    assert await is_closed_soon(ports[0])


async def test_a_scope_of_anyio_that_is_cancelled_stops_everything() -> None:
    """AnyIO cancels every wait in the scope again: what ends the server must end all the same."""
    backend = Diary()
    with anyio.CancelScope() as scope:
        async with server_of(backend, drain_timeout=600) as server:
            port = server.port
            connection = await connect(port)
            file = await (await connection.start_sftp_client()).open("/f", "wb")
            await file.write(b"half")
            scope.cancel()
            await anyio.sleep_forever()
    assert backend.notes == ["start", "stop"]
    assert (backend.contents(), backend.open_uploads) == ({}, 0)
    assert await is_closed_soon(port)


async def test_it_is_not_ready_while_nobody_receives_the_messages_of_its_storage() -> None:
    mailbox = Mailbox()
    async with server_of(mailbox.backend(), port=0) as server:
        assert not server.ready
        service = asyncio.create_task(serve(mailbox, MemoryBackend()))
        async with asyncio.timeout(20):
            while not server.ready:
                await asyncio.sleep(0.01)
        service.cancel()
        await asyncio.gather(service, return_exceptions=True)
        await asyncio.sleep(0)
        assert not server.ready


async def test_a_server_that_is_stopped_while_it_starts_does_not_start() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Diary):
        async def start(self) -> None:
            begun.set()
            await go_on.wait()
            await super().start()

    sockets, server = listening_sockets(), server_of(Slow(), port=0)
    starting = asyncio.create_task(server.start())
    await begun.wait()
    await server.stop()
    go_on.set()
    with pytest.raises(RuntimeError, match="stopped while it started"):
        await starting
    assert not server.ready
    assert listening_sockets() == sockets


# ── starting ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_storage_that_does_not_start_leaves_nothing_open_and_the_next_start_works() -> None:
    backend, port = Diary(bad_starts=1), free_port()
    server = server_of(backend, port=port)
    threads, sockets = set(threading.enumerate()), listening_sockets()
    with pytest.raises(StorageFailure, match="no disk"):
        await server.start()
    assert backend.notes == ["start", "stop"]
    assert set(threading.enumerate()) <= threads
    assert listening_sockets() == sockets
    assert not server.ready
    async with server:
        (await connect(port)).close()
    assert backend.notes == ["start", "stop", "start", "stop"]
    assert listening_sockets() == sockets


async def test_a_port_in_use_is_told_and_the_storage_is_stopped_again() -> None:
    backend = Diary()
    async with server_of() as first:
        with pytest.raises(CannotListen, match="in use"):
            await server_of(backend, port=first.port).start()
    assert backend.notes == ["start", "stop"]


async def test_a_clean_up_that_fails_does_not_hide_why_the_start_failed() -> None:
    class Hopeless(Diary):
        async def stop(self) -> None:
            raise StorageFailure("nor does it stop")

    with capture_events() as log:
        with pytest.raises(StorageFailure, match="no disk"):
            await server_of(Hopeless(bad_starts=1)).start()
    assert [entry["event"] for entry in log if entry["log_level"] == "error"] == ["server.cleanup_failed"]


async def test_a_start_that_is_cancelled_at_any_step_leaves_nothing_open() -> None:
    sockets, completed = listening_sockets(), 0
    for steps in range(60):
        backend = Diary()
        server = server_of(backend, port=0)
        starting = asyncio.create_task(server.start())
        for _ in range(steps):
            await asyncio.sleep(0)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        if not starting.cancelled():
            completed += 1
            await server.stop()
        await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert listening_sockets() == sockets, f"cancelled after {steps} steps"
        assert backend.notes in ([], ["start", "stop"], ["stop"]), f"cancelled after {steps} steps"
    assert 0 < completed < 60


async def test_starting_twice_is_refused_and_stopping_twice_is_not() -> None:
    server = server_of()
    await server.start()
    with pytest.raises(RuntimeError, match="started already"):
        await server.start()
    assert server.ready
    await server.stop()
    await server.stop()
    assert await server.drain()


# ── apart ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_two_servers_in_a_process_share_nothing() -> None:
    heard: dict[str, list[str]] = {"one": [], "two": []}

    def hearer(name: str) -> Subscriber:
        async def hear(event: s3sftp.Committed) -> None:
            heard[name].append(event.path)

        return Subscriber(hear, name="hear")

    one, two = MemoryBackend(), MemoryBackend()
    strict = AuthOptions(ban_failures=2)
    async with (
        server_of(one, on_committed=hearer("one"), logins=strict) as first,
        server_of(
            two, on_committed=hearer("two"), logins=strict, files=s3sftp.FileOptions(max_uploads_per_user=1)
        ) as second,
    ):
        connection = await connect(first.port)
        sftp = await connection.start_sftp_client()
        open_files = [await sftp.open(f"/{number}", "wb") for number in range(3)]
        other = await (await connect(second.port)).start_sftp_client()
        async with other.open("/there", "wb") as file:  # one at once, and it is the only one there
            await file.write(b"two")
        for open_file in open_files:
            await open_file.close()
        for _ in range(2):
            with pytest.raises((asyncssh.Error, ConnectionError)):
                await connect(first.port, password="wrong")
        with pytest.raises((asyncssh.Error, ConnectionError)):
            await connect(first.port)
        (await connect(second.port)).close()
        await first.stop()
        assert await other.listdir("/") == [".", "..", "there"]
        assert second.ready
        while not second.events["hear"].delivered:
            await asyncio.sleep(0.01)
    assert (sorted(one.contents()), list(two.contents())) == (["0", "1", "2"], ["there"])
    assert (sorted(heard["one"]), heard["two"]) == (["/0", "/1", "/2"], ["/there"])
    assert first.events["hear"].delivered == 3
    assert second.events["hear"].delivered == 1


async def test_host_keys_are_files_or_keys_and_without_any_one_is_made_for_the_run_with_a_warning(
    tmp_path: Path,
) -> None:
    file = tmp_path / "host_key"
    generate(file)
    for given in ([file], [str(file)], [asyncssh.read_private_key(str(file))]):
        async with server_of(host_keys=given) as server:
            key = await asyncssh.get_server_host_key("127.0.0.1", server.port, config=None)
            assert key is not None
            assert key.public_data == asyncssh.read_private_key(str(file)).public_data
    with capture_events() as log:
        async with server_of(host_keys=None) as server:
            made = await asyncssh.get_server_host_key("127.0.0.1", server.port, config=None)
            assert made is not None
    warnings = [entry["event"] for entry in log if entry["log_level"] == "warning"]
    assert "host_key.ephemeral" in warnings
    with pytest.raises(ConfigurationError, match="cannot read host key"):
        await server_of(host_keys=[tmp_path / "missing"]).start()
    with pytest.raises(ConfigurationError, match="more than once"):
        await server_of(host_keys=[HOST_KEY, HOST_KEY]).start()


GUEST_OF_AN_APPLICATION = """
import asyncio, logging, signal, sys
import structlog
from opentelemetry import trace

def state():
    names = [None, "asyncio", "asyncssh", "s3sftp", "aiobotocore"]
    loggers = [(n, logging.getLogger(n).level, list(logging.getLogger(n).handlers)) for n in names]
    signals = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)]
    return loggers, signals, structlog.is_configured(), trace.get_tracer_provider(), sys.excepthook

async def main():
    logging.basicConfig(filename=sys.argv[1], level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    before = state()
    import s3sftp
    from s3sftp.backends.memory import MemoryBackend
    server = s3sftp.Server(backend=MemoryBackend(), auth=s3sftp.StaticUsers({"alice": "secret"}), port=0)
    async with server:
        assert state() == before
    assert state() == before

asyncio.run(main())
"""


def test_it_leaves_logging_signals_and_tracing_to_the_application_and_prints_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    ended = subprocess.run(
        [sys.executable, "-c", GUEST_OF_AN_APPLICATION, str(log)], capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    lines = log.read_text().splitlines()
    assert [
        line for line in lines if line.startswith("INFO s3sftp.ssh server.listening host=127.0.0.1 port=")
    ]
    assert [line for line in lines if line.startswith("WARNING s3sftp.auth users.static")]
    assert not [line for line in lines if line.startswith("DEBUG")]


def test_importing_the_package_imports_none_of_what_serves() -> None:
    program = "import sys, s3sftp; print(sorted({'asyncssh', 'pydantic', 'structlog'} & sys.modules.keys()))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert ended.stdout.strip() == "[]"


@pytest.mark.parametrize("name", [name for name in s3sftp.__all__ if not name.startswith("_")])
def test_each_short_name_is_that_of_its_module(name: str) -> None:
    found: Any = getattr(s3sftp, name)
    assert found.__name__ == name
    assert name in dir(s3sftp)


def test_other_names_are_missing_as_anywhere() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Sever'"):
        s3sftp.Sever  # type: ignore[attr-defined]  # noqa: B018


# ── subscribers ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_subscriber_that_hangs_does_not_keep_the_server_from_stopping() -> None:
    async def hang(event: s3sftp.Committed) -> None:
        await asyncio.Event().wait()

    with capture_events() as log:
        async with server_of(on_committed=hang, drain_timeout=0.3) as server:
            sftp = await (await connect(server.port)).start_sftp_client()
            async with sftp.open("/f", "wb") as file:
                await file.write(b"x")
            began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 30
    (entry,) = [entry for entry in log if entry["event"] == "event.undelivered"]
    assert entry["path"] == "/f"
    (counts,) = server.events.values()
    assert counts.left == 1


def test_bad_subscribers_are_refused_before_anything_is_opened() -> None:
    with pytest.raises(ConfigurationError, match="async function"):
        Server(
            backend=MemoryBackend(),
            auth=StaticUsers({"alice": PASSWORD}),
            on_committed=print,  # type: ignore[arg-type]
        )


async def test_no_transfer_is_said_to_be_cut_off_where_only_an_event_was_not_delivered(
    tmp_path: Path,
) -> None:
    async def hang(_event: object) -> None:
        await asyncio.Event().wait()

    local = write(tmp_path / "f", b"x")
    with capture_events() as told:
        async with server_of(on_committed=hang, drain_timeout=0.3) as server:
            assert (await openssh(server.port, f"put {local} /f")).status == 0
    assert "transfers.cut_off" not in {entry["event"] for entry in told}


class Mounted(StaticUsers):
    """Alice, with a mount in another storage."""

    async def by_password(self, user: str, password: str, address: str) -> Identity | None:
        found = await super().by_password(user, password, address)
        mounts = (Mount("/here", "a/"), Mount("/there", "a/", storage="archive"))
        return found and replace(found, prefix=None, mounts=mounts)


class WithRole(StaticUsers):
    """Alice, with a mount that has a role."""

    async def by_password(self, user: str, password: str, address: str) -> Identity | None:
        found = await super().by_password(user, password, address)
        role = MountRole("arn:aws:iam::123456789012:role/sftp")
        return found and replace(found, prefix=None, mounts=(Mount("/here", "a/", role=role),))


async def test_a_mount_with_a_role_in_a_storage_that_assumes_none_opens_no_session() -> None:
    backend = MemoryBackend({"a/f": b"of a storage without roles"})
    async with server_of(backend, auth=WithRole({"alice": PASSWORD})) as server:
        done = await openssh(server.port, "get /here/f /dev/null")
    assert done.status != 0


async def test_several_storages_are_one_tree_and_events_name_them() -> None:
    seen: list[Committed] = []

    async def committed(event: Committed) -> None:
        seen.append(event)

    left, right = MemoryBackend(), MemoryBackend()
    users = Mounted({"alice": PASSWORD})
    async with server_of(left, auth=users, storages={"archive": right}, on_committed=committed) as server:
        done = await openssh(server.port, f"put {__file__} /there/f", "rename /there/f /here/g", "ls /here")
    assert done.status == 0, done.text
    assert (left.objects.keys(), right.objects.keys()) == ({b"a/g"}, set())
    assert [event.place for event in seen] == [Place((b"a", b"f"), "archive")]


async def test_a_mount_in_a_storage_that_is_not_there_opens_no_session() -> None:
    backend = MemoryBackend({"a/f": b"of the storage without a name"})
    async with server_of(backend, auth=Mounted({"alice": PASSWORD})) as server:
        done = await openssh(server.port, "ls /there", "get /there/f /dev/null")
    assert done.status != 0

"""What is announced as missing is missing: across processes, restarts, and failures of the storage."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from s3sftp.app.expected_files import ExpectedFiles
from s3sftp.app.expected_marks import ExpectedMarks
from s3sftp.auth import Account, Identity
from s3sftp.auth.login_rules import LoginRules
from s3sftp.backends import CompleteBackend, Place, Session
from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import StorageFailure
from s3sftp.events import Committed, EventHub, Renamed, Subscriber
from s3sftp.events.cloud_event import CloudEvent
from s3sftp.events.expect.options import ExpectOptions
from s3sftp.events.expect.rules import ExpectedFile, ExpectRule
from s3sftp.fs import AccessRules, Mount
from s3sftp.fs.rights import Right
from s3sftp.telemetry.metrics import Metrics
from tests.backends.s3.conftest import open_backend  # noqa: F401  a fixture
from tests.events.faulty_subscribers import put, volume_with
from tests.support.logs import capture_events
from tests.support.parsed_metrics import of

BEFORE = "2026-11-27T16:00"
AFTER = "2026-11-27T17:30"
TODAY = "/in/orders-2026-11-27.csv"
ACME = Session("acme")


class World:
    """A server's processes on one state directory, and what they announce."""

    def __init__(self, directory: Path, backend: CompleteBackend) -> None:
        self.directory = directory
        self.backend = backend
        self.now = BEFORE
        self.announced: list[CloudEvent] = []
        self.metrics = Metrics()
        self.accounts = {"acme": Account(Identity("acme", "acme/"), None, ())}

    def process(
        self, announce: Callable[[CloudEvent], Awaitable[object]] | None = None, **options: Any
    ) -> ExpectedFiles:
        """A process with the rule of the tests."""
        given = {"user": "acme", "path": "/in/orders-{date}.csv", "by": "18:00 Europe/Berlin"} | options
        return ExpectedFiles(
            [ExpectRule.of("orders", ExpectOptions(**given))],
            lambda: self.accounts,
            lambda: self.backend,
            ExpectedMarks(self.directory),
            announce or self._announce,
            self.metrics,
            "/s3sftp/test",
            lambda: datetime.fromisoformat(self.now).replace(tzinfo=UTC).timestamp(),
        )

    async def _announce(self, event: CloudEvent) -> None:
        self.announced.append(event)

    async def day_of(self, **options: Any) -> list[CloudEvent]:
        """What one process announces that looks before and after the file is due."""
        process = self.process(**options)
        await process.look()
        assert self.announced == []
        self.now = AFTER
        await process.look()
        await process.look()
        await process.stop()
        return self.announced

    async def store(self, path: str, data: bytes = b"1;2\n") -> None:
        *above, name = path.encode().split(b"/")
        await self.backend.write_file(Place((*above, name)), data, ACME)


def committed(path: str, size: int = 10, user: str = "acme") -> Committed:
    place = Place((b"acme", path.encode().rpartition(b"/")[2]))
    return Committed(path, place, size, None, None, Session(user), 1.0, 1.0, {})


@pytest.fixture
async def world(tmp_path: Path) -> World:
    backend = MemoryBackend()
    for name in ("acme", "acme/in", "shared"):
        await backend.make_dir(Place(tuple(name.encode().split(b"/"))), ACME)
    return World(tmp_path, backend)


async def test_a_file_that_does_not_come_is_announced_once_with_metric_and_log(world: World) -> None:
    with capture_events() as events:
        [missing] = await world.day_of()
    assert (missing.subject, missing.data["reason"]) == (TODAY, "absent")
    assert of(world.metrics)("files_missing_total") == 1
    [logged] = [each for each in events if each["event"] == "file.missing"]
    assert (logged["rule"], logged["user"], logged["path"]) == ("orders", "acme", TODAY)


async def test_a_file_that_is_stored_is_not_missing_although_nobody_has_seen_it_come(world: World) -> None:
    await world.store("acme/in/orders-2026-11-27.csv")
    assert await world.day_of() == []


async def test_a_file_whose_name_has_other_cases_is_not_missing(world: World) -> None:
    await world.store("acme/in/Orders-2026-11-27.CSV")
    assert await world.day_of() == []


async def test_a_pattern_is_looked_for_in_its_directory(world: World) -> None:
    await world.store("acme/in/orders-2026-11-27-0815.csv")
    assert await world.day_of(path="/in/orders-{date}-*.csv") == []


async def test_a_file_of_yesterday_does_not_count(world: World) -> None:
    await world.store("acme/in/orders-2026-11-26.csv")
    assert len(await world.day_of()) == 1


async def test_a_file_that_is_too_small_is_announced_with_its_size(world: World) -> None:
    await world.store("acme/in/orders-2026-11-27.csv", b"123")
    [missing] = await world.day_of(min_bytes=4)
    assert (missing.data["reason"], missing.data["found_bytes"]) == ("too_small", 3)


async def test_a_file_that_was_processed_and_removed_has_come(world: World) -> None:
    worker = world.process()
    await worker.committed(committed(TODAY))
    assert await world.day_of() == []


async def test_an_upload_through_the_server_is_seen(world: World) -> None:
    process = world.process(user="alice", path="/orders-{date}.csv")
    hub = EventHub(Subscriber(process.committed, name="expect"))
    async with volume_with(hub, world.backend) as files:
        await put(files, "/orders-2026-11-27.csv", b"1;2")
        await hub.drain()
    assert ExpectedMarks(world.directory).has_seen(ExpectedFile("orders", date(2026, 11, 27), "alice"))


async def test_a_file_that_gets_its_name_by_a_rename_has_come(world: World) -> None:
    worker = world.process()
    place = Place((b"acme", b"x"))
    await worker.renamed(Renamed(f"{TODAY}.filepart", TODAY, place, place, ACME, 1.0, {}))
    assert await world.day_of() == []


async def renamed_with_a_minimum(world: World) -> list[CloudEvent]:
    """What is announced of a file that was uploaded under another name and renamed, for a rule with a minimum
    of 4 bytes."""
    worker = world.process(min_bytes=4)
    origin = Place((b"acme", b"in", b"orders-2026-11-27.csv.filepart"))
    goal = Place((b"acme", b"in", b"orders-2026-11-27.csv"))
    await worker.renamed(Renamed(f"{TODAY}.filepart", TODAY, origin, goal, ACME, 1.0, {}))
    return await world.day_of(min_bytes=4)


async def test_a_renamed_file_that_somebody_has_taken_away_since_has_come(world: World) -> None:
    assert await renamed_with_a_minimum(world) == []


async def test_a_renamed_file_that_is_too_small_has_not_come(world: World) -> None:
    await world.store("acme/in/orders-2026-11-27.csv", b"123")
    [missing] = await renamed_with_a_minimum(world)
    assert missing.data["reason"] == "too_small"


async def test_the_mounts_of_the_user_say_where_a_file_is(world: World) -> None:
    identity = Identity("acme", "acme/", mounts=(Mount("/in", "shared/"),))
    world.accounts = {"acme": Account(identity, None, ())}
    await world.store("shared/orders-2026-11-27.csv")
    assert await world.day_of() == []


async def test_a_user_who_may_only_upload_is_looked_after_as_well(world: World) -> None:
    identity = Identity("acme", "acme/", rules=AccessRules(rights=frozenset({Right.WRITE})))
    world.accounts = {"acme": Account(identity, None, ())}
    await world.store("acme/in/orders-2026-11-27.csv")
    assert await world.day_of() == []


async def test_after_a_restart_nothing_is_announced_again_and_nothing_is_forgotten(world: World) -> None:
    first = world.process()
    await first.look()
    await first.stop()
    world.now = AFTER  # it was due while no process ran
    for _ in range(3):
        process = world.process()
        await process.look()
        await process.stop()
    assert len(world.announced) == 1


async def test_a_server_without_its_state_still_announces_what_was_due_within_the_hour(world: World) -> None:
    world.now = "2026-11-27T17:55"
    await world.process().look()
    assert len(world.announced) == 1


async def test_a_rule_that_is_new_announces_no_past(world: World) -> None:
    world.now = "2026-11-27T20:00"
    process = world.process()
    await process.look()
    world.now = "2026-11-28T16:00"
    await process.look()
    assert world.announced == []


@pytest.mark.parametrize("was", ["absent", "disabled"])
async def test_of_a_user_who_is_new_or_enabled_again_nothing_past_is_expected(world: World, was: str) -> None:
    async def look(now: str, *users: str, disabled: str = "") -> None:
        world.accounts = {
            name: Account(
                Identity(name, f"{name}/", login_rules=LoginRules(disabled=name == disabled)), None, ()
            )
            for name in users
        }
        world.now = now
        await process.look()

    process = world.process(user="partner-*")
    await look("2026-11-24T12:00", "partner-a", "partner-b")
    if was == "absent":
        await look("2026-11-24T13:00", "partner-a")
        await look("2026-11-26T20:00", "partner-a")
    else:
        await look("2026-11-24T13:00", "partner-a", "partner-b", disabled="partner-b")
        await look("2026-11-26T20:00", "partner-a", "partner-b", disabled="partner-b")
    assert [each.data["user"] for each in world.announced] == ["partner-a"] * 3
    await look("2026-11-26T21:00", "partner-a", "partner-b")
    assert len(world.announced) == 3
    await look("2026-11-27T17:30", "partner-a", "partner-b")
    assert [each.data["user"] for each in world.announced[3:]] == ["partner-a", "partner-b"]


async def test_a_rule_that_is_added_just_after_it_was_due_is_not_asked_for(world: World) -> None:
    first = world.process()
    await first.look()
    await first.stop()
    world.now = "2026-11-27T17:30"
    added = ExpectedFiles(
        [ExpectRule.of("invoices", ExpectOptions(user="acme", path="/in/i-{date}.csv", by="17:00"))],
        lambda: world.accounts,
        lambda: world.backend,
        ExpectedMarks(world.directory),
        world._announce,
        world.metrics,
        "/s3sftp/test",
        lambda: datetime.fromisoformat(world.now).replace(tzinfo=UTC).timestamp(),
    )
    await added.look()
    assert world.announced == []


async def test_of_several_processes_one_announces_and_another_takes_over(world: World) -> None:
    one, other = world.process(), world.process()
    await one.look()
    await other.look()
    world.now = AFTER
    await other.look()
    assert world.announced == []
    await one.stop()
    await other.look()
    assert len(world.announced) == 1


class Failing(MemoryBackend):
    """Does not say what it has."""

    fails = True

    async def file_info(self, place: Place, session: Session) -> Any:
        if self.fails:
            raise StorageFailure(detail="down")
        return await super().file_info(place, session)


async def test_while_the_storage_fails_nothing_is_announced_and_it_is_decided_later(tmp_path: Path) -> None:
    backend = Failing()
    world = World(tmp_path, backend)
    process = world.process()
    await process.look()
    world.now = AFTER
    with capture_events() as events:
        for _ in range(3):
            await process.look()
    assert world.announced == []
    assert [each["event"] for each in events] == ["expectation.unchecked"]
    backend.fails = False
    await process.look()
    assert len(world.announced) == 1


async def test_what_could_not_be_announced_is_announced_later(world: World) -> None:
    async def fails(event: CloudEvent) -> None:
        raise RuntimeError("the outbox is down")

    process = world.process(fails)
    await process.look()
    world.now = AFTER
    with pytest.raises(RuntimeError):
        await process.look()
    await process.stop()
    await world.process().look()
    assert len(world.announced) == 1


async def test_a_user_of_no_configuration_is_told_once_and_never_announced(world: World) -> None:
    with capture_events() as events:
        assert await world.day_of(user="nobody") == []
    [told] = [each for each in events if each["event"] == "expectation.unchecked"]
    assert told["error"] == "no such user is in the configuration"


async def test_nothing_is_expected_of_a_user_who_is_disabled(world: World) -> None:
    identity = Identity("acme", "acme/", login_rules=LoginRules(disabled=True))
    world.accounts = {"acme": Account(identity, None, ())}
    assert await world.day_of() == []


async def test_each_user_of_a_pattern_has_to_deliver(world: World) -> None:
    world.accounts |= {
        name: Account(Identity(name, f"{name}/"), None, ()) for name in ("partner-1", "partner-2")
    }
    await world.store("partner-1/in/orders-2026-11-27.csv")
    missing = await world.day_of(user="partner-*")
    assert [each.data["user"] for each in missing] == ["partner-2"]


@pytest.mark.parametrize("store", ["seaweed"], indirect=True)
async def test_a_bucket_is_asked_for_the_file(tmp_path: Path, open_backend: Any) -> None:  # noqa: F811
    backend = await open_backend()
    world = World(tmp_path / "state", backend)
    await world.store("acme/in/orders-2026-11-27.csv")
    await world.day_of()
    assert world.announced == []
    world.now = "2026-11-28T17:30"
    await world.process().look()
    assert [each.data["day"] for each in world.announced] == ["2026-11-28"]


def test_marks_of_another_process_are_seen_and_old_ones_removed(tmp_path: Path) -> None:
    file = ExpectedFile("or/ders", date(2026, 11, 27), "acme@example.com")
    program = (
        "import sys; from pathlib import Path; from datetime import date\n"
        "from s3sftp.app.expected_marks import ExpectedMarks\n"
        "from s3sftp.events.expect.rules import ExpectedFile\n"
        "file = ExpectedFile('or/ders', date(2026, 11, 27), 'acme@example.com')\n"
        "ExpectedMarks(Path(sys.argv[1])).see(file)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
    marks = ExpectedMarks(tmp_path)
    assert marks.has_seen(file)
    assert not marks.has_told(file)
    [stored] = (tmp_path / "expected" / "seen").iterdir()
    os.utime(stored, (1000, 1000))
    marks.forget_old()
    assert not marks.has_seen(file)

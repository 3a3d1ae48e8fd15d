"""When configuration is read again, and what is told of it: decided in one process, on real files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from s3sftp.app import config_reload
from s3sftp.app.config_reload import ConfigReloader
from s3sftp.app.options import load_configuration
from s3sftp.auth import Accounts
from s3sftp.config import SourceFiles, from_toml
from tests.support.logs import capture_events

pytestmark = pytest.mark.slow

KEY = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()


def table(name: str) -> str:
    return f"[users.{name}]\nauthorized_keys = ['{KEY}']\n"


class Reader:
    """Reads a configuration whose users are in one file, again and again."""

    def __init__(self, directory: Path, *, in_directory: bool = False, interval: str = "50 ms") -> None:
        self.users = directory / "users" / "users.toml"
        self.users.parent.mkdir()
        self.users.write_text(table("alice"))
        place = f"users_dir = '{self.users.parent}'" if in_directory else f"users_file = '{self.users}'"
        self.config = directory / "s3sftp.toml"
        self.config.write_text(
            f"backend = 'memory'\n[auth]\n{place}\n[server]\nreload_interval = '{interval}'\n"
        )
        self.applied: list[set[str]] = []
        self.told: list[tuple[bool, int]] = []
        self.failures: list[Exception] = []
        self.configure()

    def configure(self) -> None:
        """Begin with the files as they are."""
        sources = SourceFiles()
        configuration = self.read(sources)
        self.reloading = ConfigReloader(
            self.read, configuration, sources, self.apply, lambda *what: self.told.append(what)
        )

    def read(self, sources: SourceFiles):  # type: ignore[no-untyped-def]
        sources.note(self.config)
        return load_configuration(from_toml(self.config), {}, (), sources)

    async def apply(self, accounts: Accounts) -> None:
        if self.failures:
            raise self.failures.pop()
        self.applied.append(set(accounts))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.01)


def named(events: list[Any], name: str) -> list[Mapping[str, Any]]:
    return [event for event in events if event["event"] == name]


async def test_a_file_that_is_being_written_is_read_when_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(tmp_path)
    pause, names = asyncio.sleep, [f"user{number}" for number in range(12)]
    left = list(names)

    async def while_somebody_writes(seconds: float) -> None:
        if seconds == config_reload._QUIET_SECONDS and left:
            with reader.users.open("a") as file:
                file.write(table(left.pop(0)))
            seconds = 0
        await pause(seconds)

    monkeypatch.setattr(asyncio, "sleep", while_somebody_writes)
    reader.users.write_text("")  # nobody would be left
    reader.reloading.start()
    await reader.until(lambda: bool(reader.applied))
    assert reader.applied == [set(names)]
    assert reader.told == [(True, len(names))]
    await reader.reloading.stop()


async def test_users_who_cannot_be_applied_are_told_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_reload, "_AGAIN_SECONDS", 0.1)
    reader = Reader(tmp_path)
    reader.failures = [OSError("no file descriptor is left") for _ in range(2)]
    with capture_events() as events:
        reader.reloading.start()
        reader.users.write_text(table("alice") + table("bob"))
        await reader.until(lambda: bool(reader.applied))
        await reader.until(lambda: len(reader.told) == 3)
        await reader.reloading.stop()
    assert reader.told == [(False, 1), (False, 1), (True, 2)]
    (failed,) = named(events, "config.reload_failed")
    assert "no file descriptor is left" in failed["problem"]
    (reloaded,) = named(events, "config.reloaded")
    assert reloaded["added_users"] == ["bob"]


async def test_what_failed_is_tried_again_in_a_minute_however_rarely_files_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_reload, "_AGAIN_SECONDS", 0.1)
    reader = Reader(tmp_path, interval="1 h")
    reader.failures = [OSError("no file descriptor is left")]
    reader.reloading.start()
    reader.users.write_text(table("alice") + table("bob"))
    reader.reloading.ask()
    await reader.until(lambda: len(reader.told) == 2)
    await reader.reloading.stop()
    assert reader.told == [(False, 1), (True, 2)]


async def test_files_that_change_without_changing_anybody_disturb_nobody(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    with capture_events("debug") as events:
        reader.reloading.start()
        reader.users.write_text("# reviewed\n" + table("alice"))
        await reader.until(lambda: bool(reader.told))
        reader.users.write_text("[users")
        await reader.until(lambda: len(reader.told) == 2)
        reader.users.write_text(table("alice"))
        await reader.until(lambda: len(reader.told) == 3)
        await reader.reloading.stop()
    assert reader.applied == []
    # the second one says that what was wrong no longer is
    assert [event["log_level"] for event in named(events, "config.reloaded")] == ["debug", "info"]


async def test_many_names_and_many_problems_are_told_in_few_lines(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    with capture_events() as events:
        reader.reloading.start()
        reader.users.write_text("".join(table(f"user{number:03}") for number in range(100)))
        await reader.until(lambda: len(reader.told) == 1)
        reader.users.write_text("".join(f"[users.user{number}]\n" for number in range(100)))
        await reader.until(lambda: len(reader.told) == 2)
        await reader.reloading.stop()
    (reloaded,) = named(events, "config.reloaded")
    assert reloaded["added"] == 100
    assert reloaded["added_users"] == [f"user{number:03}" for number in range(20)]
    problems = named(events, "config.reload_failed")
    assert len(problems) == 21
    assert problems[-1]["suppressed"] == 80


async def test_that_all_users_are_gone_at_once_is_taken_for_a_fault_until_sighup_insists(
    tmp_path: Path,
) -> None:
    reader = Reader(tmp_path, in_directory=True)
    with capture_events() as events:
        reader.reloading.start()
        reader.users.write_text(table("alice") + table("bob"))
        await reader.until(lambda: reader.told == [(True, 2)])
        reader.users.unlink()
        await reader.until(lambda: len(reader.told) == 2)
        assert reader.told[-1] == (False, 2)
        (refused,) = named(events, "config.reload_failed")
        assert "none of the 2 users is left" in refused["problem"]
        assert "SIGHUP" in refused["problem"]
        assert reader.applied == [{"alice", "bob"}]
        reader.reloading.ask()
        await reader.until(lambda: reader.told[-1] == (True, 0))
        reader.users.write_text(table("alice"))
        await reader.until(lambda: reader.told[-1] == (True, 1))
        reader.users.unlink()  # the only one: that is how a user is removed
        await reader.until(lambda: len(reader.applied) == 4)
        await reader.reloading.stop()
    assert reader.applied == [{"alice", "bob"}, set(), {"alice"}, set()]


async def test_what_is_different_about_a_user_is_told_and_no_credential(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.users.write_text(table("alice") + "group = 'g'\n" + table("bob") + "[groups.g]\nprefix = 'a/'\n")
    reader.configure()
    with capture_events() as events:
        reader.reloading.start()
        other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
        reader.users.write_text(
            (table("alice") + "group = 'g'\n" + table("bob")).replace(KEY, other, 1)
            + "[groups.g]\nprefix = 'b/'\nread_only = true\nattributes = { tier = 'gold' }\n"
        )
        await reader.until(lambda: bool(reader.applied))
        await reader.until(lambda: bool(reader.told))
        await reader.reloading.stop()
    (changed,) = named(events, "user.changed")
    assert changed["user"] == "alice"
    assert changed["before"] == {"prefix": "a/", "read_only": False, "attributes": {}}
    assert changed["after"] == {"prefix": "b/", "read_only": True, "attributes": {"tier": "gold"}}
    assert changed["credentials"] == ["keys"]
    assert other.split()[1] not in str(events)


async def test_an_attribute_that_holds_a_secret_by_its_name_is_told_without_its_value(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    secret = "attributes = { api_key = 'hunter2', pin = 'hunter2', credential = 'hunter2', shipping = 'x' }\n"
    reader.configure()
    with capture_events() as events:
        reader.reloading.start()
        reader.users.write_text(table("alice") + secret + table("bob"))
        await reader.until(lambda: bool(reader.told))
        await reader.reloading.stop()
    (changed,) = [each for each in named(events, "user.changed") if each["user"] == "alice"]
    hidden = dict.fromkeys(("api_key", "pin", "credential"), "(hidden)")
    assert changed["after"] == {"attributes": {**hidden, "shipping": "x"}}


async def test_a_group_that_has_lost_its_last_user_is_told_once(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    with capture_events() as events:
        reader.reloading.start()
        for number, text in enumerate(("", table("bob"))):
            reader.users.write_text(table("alice") + text + "[groups.g]\nread_only = true\n")
            await reader.until(lambda: len(reader.told) == number + 1)  # noqa: B023 (awaited at once)
        await reader.reloading.stop()
    (unused,) = named(events, "group.unused")
    assert (unused["group"], unused["source"]) == ("g", f"{reader.users}, line 3")

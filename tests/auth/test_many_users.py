"""Ten thousand users, each in a file of their own: read in a moment, and no login is the slower for it."""

from __future__ import annotations

import asyncio
import base64
import gc
import random
import time
import tomllib
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import asyncssh
import pytest
import yaml

from s3sftp.app.config_reload import ConfigReloader
from s3sftp.app.options import Configuration, ServerOptions, load_configuration
from s3sftp.auth import (
    Account,
    AuthOptions,
    ConfiguredUsers,
    Identity,
    UserOptions,
    hash_password,
    read_logins,
)
from s3sftp.config import SourceFiles, from_toml

USERS = 10_000
KEY = asyncssh.generate_private_key("ssh-ed25519")
LINE = KEY.export_public_key().decode().strip()


def key_line(number: int) -> str:
    """A key that nobody has the private half of."""
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0 " + random.Random(number).randbytes(32)
    return f"ssh-ed25519 {base64.b64encode(blob).decode()} partner-{number}@example.com"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration with a directory of files, each with one user who has one key."""
    directory = tmp_path_factory.mktemp("many")
    users = directory / "users"
    users.mkdir()
    for number in range(USERS):
        name, key = f"partner-{number}", key_line(number)
        (users / f"{name}.toml").write_text(f"[users.{name}]\nauthorized_keys = ['{key}']\n")
    file = directory / "s3sftp.toml"
    file.write_text(f"backend = 'memory'\n[auth]\nusers_dir = '{users}'\n[server]\nreload_interval = 0\n")
    return file


def read(config: Path, sources: SourceFiles) -> Configuration:
    sources.note(config)
    return load_configuration(from_toml(config), {}, (), sources)


def parse_alone(users: Path) -> None:
    """What the libraries have to do for these users at least: to parse each file and each key."""
    for file in users.iterdir():
        tables = (
            tomllib.loads(file.read_text()) if file.suffix == ".toml" else yaml.safe_load(file.read_text())
        )
        for user in tables.get("users", {}).values():
            for line in user["authorized_keys"]:
                asyncssh.import_public_key(line)


def seconds_of(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def read_within(seconds: float, times: float, config: Path) -> Configuration:
    """What is read, in so much of a processor's time, or in so many times of what the libraries alone take
    on a processor that is slower. A machine that has much else to do is slower now and then, so that only a
    limit that is missed each time is missed."""
    taken = []
    for _ in range(5):
        began = time.process_time()
        found = read(config, SourceFiles())
        taken.append(time.process_time() - began)
        if taken[-1] < seconds or taken[-1] < times * seconds_of(
            lambda: parse_alone(config.parent / "users")
        ):
            return found
    pytest.fail(f"took {taken} s")


@pytest.mark.slow
@pytest.mark.timeout(600)  # five readings, on a processor that others use, too
def test_ten_thousand_users_in_a_directory_of_files_are_read_in_less_than_two_seconds(config: Path) -> None:
    found = read_within(2, 3, config)
    assert len(found.logins.accounts) == USERS


@pytest.mark.slow
@pytest.mark.timeout(600)  # five readings, on a processor that others use, too
def test_ten_thousand_users_in_yaml_with_two_groups_are_read_in_less_than_two_seconds(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.mkdir()
    for number in range(USERS):
        name, key = f"partner-{number}", key_line(number)
        (users / f"{name}.yaml").write_text(
            f"users:\n  {name}:\n    group: [partners, eu]\n    authorized_keys:\n      - {key}\n"
        )
    (users / "groups.yaml").write_text(
        "groups:\n  partners:\n    prefix: partners/${user}\n    directories: [inbox]\n"
        "  eu:\n    attributes: {region: eu, tenant: '${user}'}\n"
    )
    file = tmp_path / "s3sftp.toml"
    file.write_text(f"backend = 'memory'\n[auth]\nusers_dir = '{users}'\n")
    found = read_within(2, 3, file)
    assert len(found.logins.accounts) == USERS
    assert found.logins.accounts["partner-7"].identity.attributes == {"region": "eu", "tenant": "partner-7"}


@pytest.mark.alone
async def test_reading_ten_thousand_users_again_holds_up_nothing_else_in_the_process(config: Path) -> None:
    """Counted in what is computed between two turns of the event loop, whatever else runs: in the whole
    process 50 ms, or a twentieth of the reading on a processor that is slower, and in the loop's own thread
    a four-hundredth. Where others have its processor for a moment, a thread of ours may compute meanwhile:
    not each time."""
    longest = []
    began = time.process_time()
    sources = SourceFiles()
    options = read(config, sources).without_tables().options
    reading = time.process_time() - began
    for _ in range(8):
        longest.append(await longest_pauses_while_reading(config, options, sources))
        if longest[-1].process < max(0.05, reading / 20) and longest[-1].loop < reading / 400:
            return
    pytest.fail(f"paused for {longest} s; reading alone takes {reading} s")


class Pauses(NamedTuple):
    """The longest time between two turns of the event loop, in seconds of CPU."""

    process: float
    loop: float


async def longest_pauses_while_reading(config: Path, options: ServerOptions, sources: SourceFiles) -> Pauses:
    """While a server reads `config` again that it has started with: `options`, read from `sources`."""
    users = ConfiguredUsers({}, AuthOptions())
    taken = asyncio.Event()
    reloading = ConfigReloader(
        lambda sources: read(config, sources),
        Configuration(options, read_logins({})),
        sources,
        users.replace,
        lambda _ok, _users: taken.set(),
    )
    gc.collect()
    gc.freeze()  # as a server does when it has started
    reloading.start()
    longest, last = Pauses(0, 0), Pauses(time.process_time(), time.thread_time())
    reloading.ask()
    while not taken.is_set():
        await asyncio.sleep(0.001)
        now = Pauses(time.process_time(), time.thread_time())
        longest = Pauses(
            max(longest.process, now.process - last.process), max(longest.loop, now.loop - last.loop)
        )
        last = now
    await reloading.stop()
    gc.unfreeze()
    users.close()
    assert len(users.accounts) == USERS
    return longest


@pytest.mark.slow
def test_a_user_with_a_key_takes_less_than_two_kib_of_memory() -> None:
    tables = {f"partner-{number}": UserOptions(authorized_keys=(key_line(number),)) for number in range(500)}
    tracemalloc.start()
    try:
        accounts = read_logins(tables).accounts
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken / len(accounts) < 2048


class LookedUp(dict[str, Account]):
    """Users that may be looked up, and not looked through."""

    may_be_looked_through = True

    def _looked_through(self) -> None:
        assert self.may_be_looked_through

    def __iter__(self) -> Iterator[str]:
        self._looked_through()
        return super().__iter__()

    def items(self):  # type: ignore[no-untyped-def]
        self._looked_through()
        return super().items()

    def values(self):  # type: ignore[no-untyped-def]
        self._looked_through()
        return super().values()

    def keys(self):  # type: ignore[no-untyped-def]
        self._looked_through()
        return super().keys()


async def test_a_login_looks_its_user_up_and_looks_at_no_other() -> None:
    accounts = LookedUp(
        read_logins(
            {
                "alice": UserOptions(authorized_keys=(LINE,), password_hash=hash_password("secret")),
                **{
                    f"partner-{number}": UserOptions(authorized_keys=(key_line(number),))
                    for number in range(9)
                },
            }
        ).accounts
    )
    users = ConfiguredUsers(accounts, AuthOptions())
    accounts.may_be_looked_through = False
    for name, identity in (("alice", Identity("alice", "alice/")), ("nobody", None), ("partner-1", None)):
        assert await users.by_public_key(name, KEY, "192.0.2.1") == identity
        assert await users.by_password(name, "secret", "192.0.2.1") == identity
    assert users.accepts_passwords
    assert users.accepts_public_keys
    users.close()

"""Users of the configuration: who they are, and that nobody else learns whether they exist."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace

import argon2
import asyncssh
import pyotp
import pytest

from s3sftp.auth import (
    AuthOptions,
    ConfiguredUsers,
    Identity,
    UserOptions,
    account_verifier,
    hash_password,
    passwords,
    read_logins,
)
from s3sftp.auth.login_time import logins_at
from s3sftp.auth.passwords import DummyHash, PasswordVerifier, check_hash
from tests.support.logs import capture_events

CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=1024)
KEY = asyncssh.generate_private_key("ssh-ed25519")
LINE = KEY.export_public_key().decode().strip()


def configured(users: Mapping[str, UserOptions]) -> ConfiguredUsers:
    return ConfiguredUsers(read_logins(users).accounts, AuthOptions())


@pytest.fixture
def users() -> Iterator[ConfiguredUsers]:
    known = configured(
        {
            "alice": UserOptions(
                password_hash=CHEAP.hash("secret"), prefix="partners/{user}", attributes={"tenant": "7"}
            ),
            "bob": UserOptions(authorized_keys=(f'from="192.0.2.0/24" {LINE}',), read_only=True),
        }
    )
    yield known
    known.close()


async def test_the_right_password_gives_the_identity_with_all_that_belongs_to_it(
    users: ConfiguredUsers,
) -> None:
    identity = await users.by_password("alice", "secret", "192.0.2.1")
    assert identity == Identity("alice", "partners/alice/", attributes={"tenant": "7"})


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("alice", "Secret"),
        ("alice", ""),
        ("alice", "secret\0"),
        ("alice", "x" * 100_000),
        ("Alice", "secret"),
        ("bob", ""),
        ("bob", "secret"),
        ("nobody", "secret"),
        ("", ""),
    ],
)
async def test_anything_else_gives_nothing(users: ConfiguredUsers, user: str, password: str) -> None:
    assert await users.by_password(user, password, "192.0.2.1") is None


async def test_a_key_opens_its_own_account_from_its_own_addresses(users: ConfiguredUsers) -> None:
    identity = await users.by_public_key("bob", KEY, "192.0.2.9")
    assert identity is not None
    assert identity.read_only
    assert await users.by_public_key("bob", KEY, "198.51.100.1") is None
    assert await users.by_public_key("alice", KEY, "192.0.2.9") is None
    assert await users.by_public_key("nobody", KEY, "192.0.2.9") is None


async def test_after_ten_wrong_codes_those_of_the_user_are_refused_for_an_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secrets = {name: pyotp.random_base32() for name in ("alice", "bob")}
    hashed = CHEAP.hash("x")
    known = configured(
        {name: UserOptions(password_hash=hashed, totp_secret=secret) for name, secret in secrets.items()}
    )

    async def accepted(name: str, code: str, seconds: float) -> bool:
        monkeypatch.setattr(account_verifier, "time", SimpleNamespace(monotonic=lambda: seconds))
        with logins_at(datetime.fromtimestamp(2_000_000_000, UTC)):
            return await known.by_code(name, code, "192.0.2.1") is not None

    def right(name: str, steps: int = 0) -> str:
        return pyotp.TOTP(secrets[name]).at(2_000_000_000 + 30 * steps)

    with capture_events() as events:
        assert not any([await accepted("alice", "000000x", 1000 + number) for number in range(9)])
        assert await accepted("alice", right("alice", -1), 1020)
        assert not await accepted("alice", right("alice", -1), 1021)  # was used, and is no guess
        assert not await accepted("alice", "", 1022)
        assert [event["user"] for event in events if event["event"] == "user.codes_refused"] == ["alice"]
    assert not await accepted("alice", right("alice"), 1022 + 3599)
    assert await accepted("bob", right("bob"), 1023)
    assert await accepted("alice", right("alice"), 1022 + 3601)
    known.close()


async def test_a_line_of_an_authorized_keys_file_opens_too(tmp_path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "keys"
    file.write_text(f"# mine\n{LINE} laptop\n")
    known = configured({"eve": UserOptions(authorized_keys_file=file)})
    assert await known.by_public_key("eve", KEY, "192.0.2.1") is not None
    known.close()


async def test_verifying_passwords_does_not_hold_up_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    computing, loop_went_on, seen = threading.Event(), threading.Event(), []

    def fits(_hash: str, _password: bytes) -> bool:
        """Computes until the loop has gone on meanwhile."""
        computing.set()
        seen.append(loop_went_on.wait(10))
        return False

    monkeypatch.setattr(passwords, "_fits", fits)
    verifier = PasswordVerifier(DummyHash.among([hash_password("x")]), threads=2)
    verifying = asyncio.gather(*(verifier.verify(None, "guess") for _ in range(8)))
    while not computing.is_set():
        await asyncio.sleep(0.001)
    loop_went_on.set()
    await verifying
    verifier.close()
    assert seen == [True] * 8


async def test_a_hash_is_computed_without_python_s_lock() -> None:
    """Else a thread of its own would not help: the loop would see the end alone."""
    verifier = PasswordVerifier(DummyHash.among([hash_password("x")]), threads=1)
    verifying, turns = asyncio.create_task(verifier.verify(None, "guess")), 0
    while not verifying.done():
        await asyncio.sleep(0)
        turns += 1
    verifier.close()
    assert turns > 100


async def test_a_client_that_leaves_does_not_free_a_thread_that_still_computes() -> None:
    verifier = PasswordVerifier(DummyHash.among([hash_password("x")]), threads=1)
    first = asyncio.create_task(verifier.verify(None, "guess"))
    await asyncio.sleep(0.01)
    first.cancel()
    second = asyncio.create_task(verifier.verify(None, "guess"))
    done, _ = await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
    assert done == {first}
    assert await second is False
    verifier.close()


def test_a_new_hash_is_argon2id_as_rfc_9106_recommends() -> None:
    text = hash_password("secret")
    check_hash(text)
    assert text.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert text != hash_password("secret")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        "$1$b5caebda$VODr/nyhGWgZaY8sJ4x05.",
        argon2.PasswordHasher(time_cost=1, memory_cost=1024, type=argon2.Type.I).hash("x"),
        "$argon2id$v=19$m=8388608,t=3,p=4$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA",
    ],
    ids=["empty", "plain", "md5crypt", "argon2i", "8 GiB"],
)
def test_a_hash_that_is_weak_foreign_or_ruinous_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"hash-password|1 GiB"):
        check_hash(text)

"""Users are replaced all at once, also under logins that are under way."""

from __future__ import annotations

import asyncio

import argon2
import asyncssh

from s3sftp.auth import Accounts, AuthOptions, ConfiguredUsers, UserOptions, read_logins
from tests.support.logs import capture_events

CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=1024)
SLOW = argon2.PasswordHasher(time_cost=4, memory_cost=65536)
KEY = asyncssh.generate_private_key("ssh-ed25519")
LINE = KEY.export_public_key().decode().strip()


def accounts(**users: UserOptions) -> Accounts:
    return read_logins(users).accounts


def with_password(password: str, **more: object) -> UserOptions:
    return UserOptions(password_hash=CHEAP.hash(password), **more)


async def test_whoever_is_there_afterwards_gets_in_and_nobody_else() -> None:
    users = ConfiguredUsers(accounts(alice=UserOptions(authorized_keys=(LINE,))), AuthOptions())
    assert not users.accepts_passwords
    await users.replace(accounts(bob=with_password("secret", read_only=True)))
    assert await users.by_public_key("alice", KEY, "192.0.2.1") is None
    identity = await users.by_password("bob", "secret", "192.0.2.1")
    assert identity is not None
    assert identity.read_only
    assert users.accepts_passwords
    assert not users.accepts_public_keys
    users.close()


async def test_a_password_under_verification_is_worth_nothing_once_its_user_is_gone_or_has_another() -> None:
    before = accounts(alice=with_password("old"), bob=with_password("old"), carol=with_password("old"))
    users = ConfiguredUsers(before, AuthOptions())
    waiting = [asyncio.create_task(users.by_password(name, "old", "192.0.2.1")) for name in before]

    await asyncio.sleep(0)  # they have looked their hashes up
    users._take({"bob": accounts(bob=with_password("new"))["bob"], "carol": before["carol"]})
    answers = await asyncio.gather(*waiting)
    assert [answer and answer.user for answer in answers] == [None, None, "carol"]
    users.close()


async def test_unknown_users_cost_as_much_as_the_users_of_now_do() -> None:
    users = ConfiguredUsers(accounts(alice=with_password("x")), AuthOptions())
    first = users.verifier.nobody
    await users.replace(accounts(alice=with_password("x"), bob=with_password("y")))
    assert users.verifier.nobody.password_hash == first.password_hash
    with capture_events() as events:
        slow = UserOptions(password_hash=SLOW.hash("x"))
        await users.replace(accounts(alice=slow, bob=slow, carol=with_password("y")))
        await users.replace(accounts(alice=slow, bob=slow, dave=with_password("y")))
    assert "m=65536,t=4" in users.verifier.nobody.password_hash
    assert [event["event"] for event in events] == ["users.hash_costs_differ"]
    users.close()

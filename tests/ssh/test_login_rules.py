"""Rules that refuse a right credential: clients see a wrong password, sessions end when they must."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import asyncssh
import pytest

from s3sftp.auth import UserOptions, login_time
from s3sftp.ssh import connection, listener
from tests.ssh.listener_harness import (
    ALICES_KEY,
    CHEAP,
    PASSWORD,
    ListenerHarness,
    listener_harness,
    write_key,
)
from tests.ssh.ssh_clients import askpass, openssh
from tests.ssh.timing import take_equally_long

CREDENTIALS: Mapping[str, Any] = {
    "password_hash": CHEAP.hash(PASSWORD),
    "authorized_keys": (ALICES_KEY.export_public_key().decode(),),
}
NOW = datetime.now(UTC)
ANOTHER_DAY = f"{NOW + timedelta(days=3):%a} 00:00-24:00"
RULES: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "disabled": ({"disabled": True}, "the user is disabled"),
    "expired": ({"expires": NOW - timedelta(seconds=1)}, "the user has expired"),
    "network": ({"networks": ["192.0.2.0/24"]}, "the user may not log in from this address"),
    "hours": ({"hours": [ANOTHER_DAY]}, "the user may not log in at this hour"),
}


def user(**rules: Any) -> Mapping[str, UserOptions]:
    return {"alice": UserOptions(**CREDENTIALS, **rules), "bob": UserOptions(**CREDENTIALS)}


def at(monkeypatch: pytest.MonkeyPatch, moment: datetime, *modules: ModuleType) -> None:
    """Make it another time for these modules."""

    class Then(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return moment.astimezone(tz)

    for module in modules:
        monkeypatch.setattr(module, "datetime", Then)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("method", ["password", "keyboard-interactive", "publickey"])
async def test_a_rule_refuses_like_a_wrong_password_and_the_log_alone_says_why(
    rule: str, method: str
) -> None:
    options, reason = RULES[rule]
    async with listener_harness(users=user(**options)) as house:

        async def refusal(name: str, password: str, key: asyncssh.SSHKey) -> str:
            with pytest.raises(asyncssh.PermissionDenied) as caught:
                keys = [key] if method == "publickey" else None
                await house.connect(name, password, client_keys=keys, preferred_auth=method)
            await house.empties()
            return str(caught.value).replace(name, "U")

        stranger = asyncssh.generate_private_key("ssh-ed25519")
        answers = {
            await refusal("alice", PASSWORD, ALICES_KEY),
            await refusal("alice", "wrong", stranger),
            await refusal("nobody", "wrong", stranger),
        }
        assert len(answers) == 1
        failures = house.logged("login.failed")
        assert [entry["reason"] for entry in failures] == [reason, None, None]
        assert [entry["method"] for entry in failures] == [method] * 3
        await log_in(house, "bob", method)


async def log_in(house: ListenerHarness, name: str, method: str) -> None:
    keys = [ALICES_KEY] if method == "publickey" else None
    (await house.connect(name, PASSWORD, client_keys=keys, preferred_auth=method)).close()


@pytest.mark.alone
@pytest.mark.parametrize("method", ["password", "publickey"])
async def test_a_rule_refuses_as_slowly_as_a_wrong_password(method: str) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    async with listener_harness(users=user(disabled=True), auth={"ban_failures": 0}) as house:

        async def attempt(name: str, password: str, key: asyncssh.SSHKey) -> None:
            keys = [key] if method == "publickey" else None
            with pytest.raises(asyncssh.PermissionDenied):
                await house.connect(name, password, client_keys=keys, preferred_auth=method)

        assert await take_equally_long(
            lambda: attempt("alice", PASSWORD, ALICES_KEY), lambda: attempt("nobody", "wrong", stranger)
        )


async def test_rules_that_are_met_let_in(tmp_path: Path) -> None:
    options = user(
        expires=NOW + timedelta(days=1), networks=["127.0.0.0/8"], hours=["00:00-24:00 Europe/Berlin"]
    )
    async with listener_harness(users=options) as house:
        (await openssh(house.port, "PreferredAuthentications=password", env=askpass(tmp_path))).ok()
        key = f"IdentityFile={write_key(ALICES_KEY, tmp_path / 'key')}"
        (await openssh(house.port, "PreferredAuthentications=publickey", key)).ok()


async def test_networks_of_the_server_bind_every_user() -> None:
    async with listener_harness(users=user(), auth={"networks": ["127.0.0.2", "127.0.0.3"]}) as house:
        for name in ("alice", "bob"):
            with pytest.raises(asyncssh.PermissionDenied):
                await house.connect(name)
            (await house.connect(name, source="127.0.0.2")).close()
        reasons = {entry["reason"] for entry in house.logged("login.failed")}
        assert reasons == {"nobody may log in from this address (auth.networks)"}


async def test_a_user_s_networks_narrow_those_of_the_server() -> None:
    auth = {"networks": "127.0.0.2"}
    async with listener_harness(users=user(networks=["127.0.0.3"]), auth=auth) as house:
        for source in ("127.0.0.2", "127.0.0.3"):
            with pytest.raises(asyncssh.PermissionDenied):
                await house.connect(source=source)


async def test_a_session_ends_when_its_user_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "_EXPIRY_SECONDS", 0.02)
    expires = NOW + timedelta(days=30)
    async with listener_harness(users=user(expires=expires)) as house:
        alice, bob = await house.connect(), await house.connect("bob")
        async with alice.start_sftp_client() as sftp:
            assert await sftp.listdir("/")
            at(monkeypatch, expires, listener)
            await asyncio.wait_for(alice.wait_closed(), 20)
        (ending,) = house.logged("connection.ending")
        assert (ending["user"], ending["reason"]) == ("alice", "the user has expired")
        async with bob.start_sftp_client() as sftp:
            assert await sftp.listdir("/")
        bob.close()


async def test_a_client_does_not_learn_why_its_user_must_leave(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither by the refusal of a new session nor by the end of the connection; the log has the reason."""
    monkeypatch.setattr(listener, "_EXPIRY_SECONDS", 0.02)
    expires = NOW + timedelta(days=30)
    async with listener_harness(users=user(expires=expires)) as house:
        alice = await house.connect()
        at(monkeypatch, expires, connection)
        with pytest.raises(asyncssh.ChannelOpenError) as refused:
            await alice.start_sftp_client()
        assert refused.value.reason == "the account may not be used now"
        at(monkeypatch, expires, listener)
        with caplog.at_level("DEBUG", "asyncssh"):
            await asyncio.wait_for(alice.wait_closed(), 20)
        (end,) = [line for line in caplog.messages if "Received disconnect" in line]
        assert "the account may not be used now" in end
        assert [each["reason"] for each in house.logged("connection.ending")] == ["the user has expired"]


async def test_the_end_of_the_hours_ends_no_session_and_admits_no_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener, "_EXPIRY_SECONDS", 0.02)
    monday = datetime(2027, 1, 11, 18, 59, tzinfo=UTC)
    at(monkeypatch, monday, login_time, connection, listener)
    async with listener_harness(users=user(hours=["Mon 07:00-19:00"])) as house:
        async with await house.connect() as alice, alice.start_sftp_client() as sftp:
            at(monkeypatch, monday + timedelta(minutes=1), login_time, connection, listener)
            await asyncio.sleep(0.2)
            assert await sftp.listdir("/")
            with pytest.raises(asyncssh.ChannelOpenError):
                await alice.start_sftp_client()
            with pytest.raises(asyncssh.PermissionDenied):
                await house.connect()
            assert await sftp.listdir("/")

"""A certificate as the key of a login of several factors, and under the rules that hold for every login."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from s3sftp.auth import UserOptions
from tests.ssh.certified_keys import OfferedBytes, SecurityKey
from tests.ssh.listener_harness import CHEAP, PASSWORD, ListenerHarness, listener_harness
from tests.ssh.ssh_clients import askpass, openssh, questions
from tests.support.commands import Result
from tests.support.ssh_ca import certify, data_of, make_key, make_krl, public_line, ssh_keygen

BOTH = UserOptions(password_hash=CHEAP.hash(PASSWORD), methods=("publickey+password",))
PARTIAL = 'Authenticated using "publickey" with partial success.'
NOW = datetime.now(UTC)


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    return make_key(tmp_path, "ca")


@pytest.fixture
def key(tmp_path: Path, ca: Path) -> Path:
    """Alice's key, with its certificate beside it."""
    made = make_key(tmp_path, "alice")
    certify(ca, made)
    return made


def trusting(ca: Path, user: UserOptions, **auth: Any) -> Any:
    return listener_harness(users={"alice": user}, auth={"trusted_user_ca_keys": [public_line(ca)]} | auth)


async def sftp(house: ListenerHarness, key: Path, order: str = "publickey,password") -> Result:
    """OpenSSH's sftp with the key, its certificate, and alice's password."""
    options = (f"IdentityFile={key}", "IdentitiesOnly=yes", "LogLevel=DEBUG2")
    return await openssh(house.port, *options, f"PreferredAuthentications={order}", env=askpass(key.parent))


async def test_openssh_proves_a_certificate_and_then_the_password(ca: Path, key: Path) -> None:
    async with trusting(ca, BOTH) as house:
        result = (await sftp(house, key)).ok()
        assert PARTIAL in result.text
        assert questions(key.parent) == ["alice@127.0.0.1's password: "]
        (step,) = house.logged("login.continued")
        assert (step["method"], step["needs"]) == ("publickey", "publickey+password")
        (entry,) = house.logged("login.accepted")
        assert (entry["method"], entry["certificate"], entry["serial"]) == (
            "publickey+password",
            "alice@laptop",
            7,
        )
        assert entry["key"] in ssh_keygen("-l", "-f", key)
        assert entry["authority"] in ssh_keygen("-l", "-f", ca)


@pytest.mark.parametrize("order", ["publickey", "password"])
async def test_a_certificate_or_a_password_alone_is_not_enough(ca: Path, key: Path, order: str) -> None:
    async with trusting(ca, BOTH) as house:
        assert "Permission denied" in (await sftp(house, key, order)).failed().text
        assert not house.logged("login.accepted")


async def test_a_certificate_without_the_signature_of_its_key_proves_nothing(ca: Path, key: Path) -> None:
    """Who has the certificate and the password, but not the key, does not get in."""
    data = data_of(Path(f"{key}-cert.pub"))
    thief = make_key(key.parent, "thief")
    async with trusting(ca, BOTH) as house:
        for file, gets_in in ((key, True), (thief, False)):
            pair = OfferedBytes(data, asyncssh.read_private_key(str(file)))
            assert await enters(house, pair) is gets_in
        assert not house.logged("login.certificate_refused")  # it was asked to sign
        assert len(house.logged("login.continued")) == len(house.logged("login.accepted")) == 1


@pytest.mark.parametrize(("flags", "gets_in"), [(0x05, True), (0x01, False), (0x04, False)])
async def test_a_security_key_that_has_not_verified_its_user_proves_nothing(
    ca: Path, tmp_path: Path, flags: int, gets_in: bool
) -> None:
    pair = SecurityKey.certified(tmp_path / "sk", ca, flags, "-O", "verify-required")
    async with trusting(ca, BOTH) as house:
        assert await enters(house, pair) is gets_in
        assert len(house.logged("login.continued")) == gets_in


async def enters(house: ListenerHarness, pair: asyncssh.SSHKeyPair) -> bool:
    """Whether alice's password after this pair completes the login."""
    try:
        connection = await house.connect(client_keys=[pair], preferred_auth="publickey,password")
    except asyncssh.DisconnectError:
        return False
    connection.close()
    return True


@pytest.mark.parametrize("methods", [("password",), ("password+publickey",)])
async def test_a_certificate_out_of_order_is_refused_and_one_line_says_so(
    ca: Path, key: Path, methods: tuple[str, ...]
) -> None:
    user = UserOptions(password_hash=BOTH.password_hash, methods=methods)
    async with trusting(ca, user) as house:
        (await sftp(house, key, "publickey")).failed()
        await house.empties()
        reason = f"publickey is not what comes next in {methods[0]}"
        (refused,) = house.logged("login.certificate_refused")
        (failed,) = house.logged("login.failed")
        assert (refused["reason"], failed["reason"]) == (reason, reason)
        assert not house.logged("login.key_barred")


RULES: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "disabled": ({"disabled": True}, "the user is disabled"),
    "expired": ({"expires": NOW - timedelta(seconds=1)}, "the user has expired"),
    "network": ({"networks": ["192.0.2.0/24"]}, "the user may not log in from this address"),
    "hours": (
        {"hours": [f"{NOW + timedelta(days=3):%a} 00:00-24:00"]},
        "the user may not log in at this hour",
    ),
}


@pytest.mark.parametrize("rule", RULES)
async def test_a_rule_holds_for_a_valid_certificate(ca: Path, key: Path, rule: str) -> None:
    options, reason = RULES[rule]
    async with trusting(ca, UserOptions(**options)) as house:
        (await sftp(house, key, "publickey")).failed()
        await house.empties()
        assert {entry["reason"] for entry in house.logged("login.certificate_refused")} == {reason}
        assert [entry["reason"] for entry in house.logged("login.failed")] == [reason]
        assert not house.logged("login.accepted")


async def test_networks_of_the_server_hold_for_a_valid_certificate(ca: Path, key: Path) -> None:
    async with trusting(ca, UserOptions(), networks=["192.0.2.0/24"]) as house:
        (await sftp(house, key, "publickey")).failed()
        assert not house.logged("login.accepted")


@pytest.mark.parametrize("kind", ["key", "certificate"])
async def test_a_revoked_first_factor_proves_nothing(ca: Path, key: Path, kind: str) -> None:
    revoked = make_krl(key.parent / "krl", "", key)
    if kind == "key":
        (key.parent / "alice-cert.pub").unlink()
    user = BOTH.model_copy(update={"authorized_keys": (public_line(key),) if kind == "key" else ()})
    async with trusting(ca, user, revoked_keys=revoked) as house:
        # the right password does not help: the key has to come first
        assert PARTIAL not in (await sftp(house, key)).failed().text
        await house.empties()
        event = "login.key_barred" if kind == "key" else "login.certificate_refused"
        (refused,) = house.logged(event)
        assert refused["reason"] in ("the key is revoked", "the key of the certificate is revoked")
        assert not house.logged("login.key_refused")
        assert not house.logged("login.continued")
        assert not house.logged("login.accepted")


async def test_a_key_that_is_revoked_between_two_connections_proves_nothing_any_more(
    ca: Path, key: Path
) -> None:
    revoked = make_krl(key.parent / "krl", "")
    async with trusting(ca, BOTH, revoked_keys=revoked) as house:
        (await sftp(house, key)).ok()
        await asyncio.to_thread(make_krl, revoked, "", key, update=True)
        assert PARTIAL not in (await sftp(house, key)).failed().text

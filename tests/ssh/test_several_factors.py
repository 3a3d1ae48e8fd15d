"""Logins that need several factors: partial success as real clients meet it, and what it is no help for."""

from __future__ import annotations

import asyncio
import contextlib
import io
import shlex
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pyotp
import pytest

from s3sftp.auth import UserOptions, read_logins
from tests.ssh.listener_harness import (
    ALICES_KEY,
    CHEAP,
    HOST_KEY,
    PASSWORD,
    ListenerHarness,
    listener_harness,
    write_key,
)
from tests.ssh.ssh_clients import askpass, dbclient, openssh, questions
from tests.support.commands import installed, run

pytestmark = pytest.mark.slow

SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
CREDENTIALS: Mapping[str, Any] = {
    "password_hash": CHEAP.hash(PASSWORD),
    "authorized_keys": (ALICES_KEY.export_public_key().decode(),),
}
Refused = (asyncssh.PermissionDenied, asyncssh.DisconnectError, ConnectionError)


def needs(*methods: str, **more: Any) -> Mapping[str, UserOptions]:
    """alice, and eve who has the same credentials, with these methods."""
    options = UserOptions(**CREDENTIALS, **({"methods": methods} if methods else {}), **more)
    return {"alice": options, "eve": options, "bob": UserOptions(password_hash=CREDENTIALS["password_hash"])}


BOTH = needs("publickey+password")
WITH_CODE = needs(totp_secret=SECRET)


def code(steps: int = 0) -> str:
    """The verification code of now, or of steps of 30 s later."""
    return pyotp.TOTP(SECRET).at(time.time() + 30 * steps)


def answering(directory: Path, password: str, verification_code: str) -> dict[str, str]:
    """The environment in which OpenSSH's questions for both are answered."""
    env = askpass(directory, password)
    (directory / "askpass").write_text(
        f"#!/bin/sh\necho \"$1\" >> '{directory}/questions'\n"
        f"case \"$1\" in *Verification*) echo '{verification_code}';; *) echo '{password}';; esac\n"
    )
    return env


async def by_paramiko(
    house: ListenerHarness, use: Callable[[paramiko.Transport, paramiko.PKey], object]
) -> object:
    """Use a paramiko transport, with alice's key, in a thread."""
    key = paramiko.Ed25519Key.from_private_key(io.StringIO(ALICES_KEY.export_private_key().decode()))

    def work() -> object:
        with paramiko.Transport(("127.0.0.1", house.port)) as transport:
            transport.start_client(timeout=20)
            return use(transport, key)

    return await asyncio.to_thread(work)


def refuses(transport: paramiko.Transport, user: str, password: str) -> bool:
    with pytest.raises(paramiko.AuthenticationException):
        transport.auth_password(user, password, fallback=False)
    return not transport.is_authenticated()


async def test_openssh_proves_key_and_password_and_is_told_of_the_partial_success(tmp_path: Path) -> None:
    async with listener_harness(users=BOTH) as house:
        file = write_key(ALICES_KEY, tmp_path / "key")
        order = "PreferredAuthentications=publickey,password"
        options = (f"IdentityFile={file}", "LogLevel=DEBUG2", order)
        result = (await openssh(house.port, *options, env=askpass(tmp_path))).ok()
        assert 'Authenticated using "publickey" with partial success.' in result.text
        assert questions(tmp_path) == ["alice@127.0.0.1's password: "]
        (entry,) = house.logged("login.accepted")
        assert (entry["method"], entry["key"]) == ("publickey+password", ALICES_KEY.get_fingerprint())
        (step,) = house.logged("login.continued")
        assert (step["user"], step["method"], step["needs"]) == ("alice", "publickey", "publickey+password")


@pytest.mark.parametrize(
    "only", ["PreferredAuthentications=publickey", "PubkeyAuthentication=no"], ids=["key", "password"]
)
async def test_one_factor_of_two_lets_nobody_in(tmp_path: Path, only: str) -> None:
    async with listener_harness(users=BOTH) as house:
        file = write_key(ALICES_KEY, tmp_path / "key")
        await_result = openssh(house.port, only, f"IdentityFile={file}", env=askpass(tmp_path))
        assert "Permission denied" in (await await_result).failed().text
        assert not house.logged("login.accepted")


async def test_paramiko_proves_key_and_password_and_learns_what_comes_next() -> None:
    def log_in(transport: paramiko.Transport, key: paramiko.PKey) -> list[list[str]]:
        remaining = [transport.auth_publickey("alice", key)]
        assert not transport.is_authenticated()
        assert refuses(transport, "alice", "wrong")
        remaining.append(transport.auth_password("alice", PASSWORD, fallback=False))
        assert transport.is_authenticated()
        return remaining

    async with listener_harness(users=BOTH) as house:
        assert await by_paramiko(house, log_in) == [["password", "keyboard-interactive"], []]
        assert house.logged("login.accepted")[0]["method"] == "publickey+password"
        assert len(house.logged("login.failed")) == 1


async def test_a_client_of_paramiko_proves_key_and_password_by_its_options(tmp_path: Path) -> None:
    def log_in(port: int, file: Path) -> list[str]:
        with paramiko.SSHClient() as client:
            client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
            client.connect("127.0.0.1", port, "alice", PASSWORD, key_filename=str(file), allow_agent=False)
            with client.open_sftp() as sftp:
                return sftp.listdir("/")

    async with listener_harness(users=BOTH) as house:
        file = write_key(ALICES_KEY, tmp_path / "key")
        assert await asyncio.to_thread(log_in, house.port, file) == []


async def test_psftp_proves_key_and_password(tmp_path: Path) -> None:
    async with listener_harness(users=BOTH) as house:
        file = write_key(ALICES_KEY, tmp_path / "key")
        env = {"HOME": str(tmp_path)}
        converting = [installed("puttygen"), str(file), "-O", "private", "-o", str(tmp_path / "key.ppk")]
        (await run([*converting, "--new-passphrase", "/dev/null"], env)).ok()
        (tmp_path / "batch").write_text("pwd\n")
        command = [installed("psftp"), "-batch", "-P", str(house.port), "-i", str(tmp_path / "key.ppk")]
        command += ["-pw", PASSWORD, "-hostkey", HOST_KEY.get_fingerprint(), "-b", str(tmp_path / "batch")]
        (await run([*command, "alice@127.0.0.1"], env)).ok()
        assert house.logged("login.accepted")[0]["method"].startswith("publickey+")


async def test_dropbear_proves_key_and_password(tmp_path: Path) -> None:
    async with listener_harness(users=BOTH) as house:
        file = write_key(ALICES_KEY, tmp_path / "key")
        converting = [installed("dropbearconvert"), "openssh", "dropbear", str(file), str(tmp_path / "db")]
        (await run(converting)).ok()
        await dbclient(house.port, tmp_path, "-i", str(tmp_path / "db"))
        assert house.logged("login.accepted")[0]["method"].startswith("publickey+")


async def test_lftp_proves_key_and_password(tmp_path: Path) -> None:
    async with listener_harness(users=BOTH) as house:
        file = write_key(ALICES_KEY, tmp_path / "key")
        ssh = f"ssh -a -x -F none -i {shlex.quote(str(file))} -o IdentitiesOnly=yes -o IdentityAgent=none"
        ssh += " -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
        lines = [f'set sftp:connect-program "{ssh}"', "set net:max-retries 1", "set net:timeout 20"]
        lines += [f'open -p {house.port} -u alice,"{PASSWORD}" sftp://127.0.0.1', "mkdir x"]
        (tmp_path / "script").write_text("\n".join(lines))
        command = [installed("lftp"), "--norc", "-f", str(tmp_path / "script")]
        (await run(command, {"HOME": str(tmp_path)})).ok()
        assert house.logged("login.accepted")[0]["method"].startswith("publickey+")


async def test_rclone_proves_key_and_password(tmp_path: Path) -> None:
    async with listener_harness(users=BOTH) as house:
        file = write_key(ALICES_KEY, tmp_path / "key")
        env = {"HOME": str(tmp_path), "RCLONE_CONFIG": "/dev/null"}
        secret = (await run([installed("rclone"), "obscure", PASSWORD], env)).ok().out.decode().strip()
        remote = f":sftp,host=127.0.0.1,port={house.port},user=alice,key_file={file},pass={secret}:"
        (await run([installed("rclone"), "lsf", remote, "--low-level-retries=1"], env)).ok()
        assert house.logged("login.accepted")[0]["method"].startswith("publickey+")


async def test_an_offer_without_a_signature_proves_nothing() -> None:
    """The server says that it would take the key; the signature is then a wrong one."""
    stranger = asyncssh.generate_private_key("ssh-ed25519")

    class Unsigned(asyncssh.SSHKeyPair):
        asked = 0

        def __init__(self) -> None:
            shown = asyncssh.load_keypairs([ALICES_KEY])[0]
            super().__init__(
                shown.algorithm, shown.algorithm, (shown.algorithm,), (), shown.public_data, None
            )

        def sign(self, data: bytes) -> bytes:
            Unsigned.asked += 1
            return stranger.sign(data, b"ssh-ed25519")

    async with listener_harness(users=BOTH) as house:
        with pytest.raises(asyncssh.PermissionDenied):
            await house.connect(client_keys=[Unsigned()], preferred_auth="publickey,password")
        assert Unsigned.asked == 1
        assert not house.logged("login.continued")
        assert not house.logged("login.accepted")


async def test_another_user_name_forgets_what_was_proven() -> None:
    def attempt(transport: paramiko.Transport, key: paramiko.PKey) -> None:
        transport.auth_publickey("alice", key)
        assert refuses(transport, "eve", PASSWORD)
        assert refuses(transport, "alice", PASSWORD)
        transport.auth_publickey("alice", key)
        transport.auth_password("alice", PASSWORD, fallback=False)
        assert transport.is_authenticated()

    async with listener_harness(users=BOTH) as house:
        await by_paramiko(house, attempt)
        # alice's key does not make eve's password the next factor: right or wrong, it is a failure
        reasons = [(entry["user"], entry["reason"]) for entry in house.logged("login.failed")]
        assert reasons == [
            (name, "password is not what comes next in publickey+password") for name in ("eve", "alice")
        ]


async def test_a_user_with_one_factor_does_not_complete_the_login_of_another() -> None:
    def attempt(transport: paramiko.Transport, key: paramiko.PKey) -> None:
        transport.auth_publickey("alice", key)
        transport.auth_password("bob", PASSWORD, fallback=False)
        assert transport.is_authenticated()

    async with listener_harness(users=BOTH) as house:
        await by_paramiko(house, attempt)
        (entry,) = house.logged("login.accepted")
        assert (entry["user"], entry["method"], entry.get("key")) == ("bob", "password", None)


async def test_the_first_list_of_methods_is_the_same_for_every_name() -> None:
    users = {**BOTH, "dora": WITH_CODE["alice"], "keyless": needs("password")["alice"]}
    async with listener_harness(users=users) as house:
        for user in ("alice", "bob", "dora", "keyless", "nobody"):
            methods = await asyncssh.get_server_auth_methods(
                "127.0.0.1", house.port, username=user, config=None
            )
            assert list(methods) == ["publickey", "password", "keyboard-interactive"], user


async def test_a_password_cannot_be_tested_without_the_key_that_comes_first() -> None:
    async with listener_harness(users=BOTH) as house:
        answers = []
        for user, password in (("alice", PASSWORD), ("alice", "wrong"), ("nobody", PASSWORD)):
            with pytest.raises(asyncssh.PermissionDenied) as caught:
                await house.connect(user, password)
            answers.append(str(caught.value).replace(user, "U"))
        assert len(set(answers)) == 1
        reasons = [entry["reason"] for entry in house.logged("login.failed")]
        assert reasons == ["password is not what comes next in publickey+password", None, None]


async def test_a_method_that_the_user_may_not_use_is_refused_like_a_wrong_credential() -> None:
    async with listener_harness(users=needs("publickey")) as house:
        with pytest.raises(asyncssh.PermissionDenied):
            await house.connect()
        (await house.connect(client_keys=[ALICES_KEY], preferred_auth="publickey", password=None)).close()
    async with listener_harness(users=needs("password")) as house:
        with pytest.raises(asyncssh.PermissionDenied):
            await house.connect(client_keys=[ALICES_KEY], preferred_auth="publickey", password=None)
        await house.empties()
        assert house.logged("login.failed")[0]["reason"] == "publickey is not what comes next in password"
        (await house.connect()).close()


async def test_wrong_second_factors_are_counted_and_get_their_source_banned() -> None:
    def guess(transport: paramiko.Transport, key: paramiko.PKey) -> int:
        transport.auth_publickey("alice", key)
        for tries in range(1, 10):
            try:
                transport.auth_password("alice", "wrong", fallback=False)
            except (paramiko.SSHException, EOFError):
                if not transport.is_active():
                    return tries
        return 0

    async with listener_harness(users=BOTH, auth={"ban_failures": 3}) as house:
        assert await by_paramiko(house, guess) == 3
        assert len(house.logged("login.failed")) == 3
        assert house.logged("source.banned")


async def test_wrong_codes_are_counted_like_wrong_passwords() -> None:
    def guess(transport: paramiko.Transport, key: paramiko.PKey) -> int:
        transport.auth_publickey("alice", key)
        for tries in range(1, 10):
            try:
                transport.auth_interactive("alice", lambda *_: ["000000"])
            except (paramiko.SSHException, EOFError):
                if not transport.is_active():
                    return tries
        return 0

    async with listener_harness(users=WITH_CODE, ssh={"max_auth_attempts": 4}) as house:
        assert await by_paramiko(house, guess) == 4
        reasons = {entry["reason"] for entry in house.logged("login.failed")}
        assert reasons == {"the verification code is wrong, or was used before"}


async def test_leaving_after_the_first_factor_counts_as_a_failure() -> None:
    async with listener_harness(users=BOTH, auth={"ban_failures": 2}) as house:
        for _ in range(2):
            await by_paramiko(house, lambda transport, key: transport.auth_publickey("alice", key))
            await house.empties()
        assert [entry["reason"] for entry in house.logged("login.failed")] == [
            "only publickey was proven"
        ] * 2
        assert house.logged("source.banned")


async def test_openssh_is_asked_for_password_and_code_one_after_the_other(tmp_path: Path) -> None:
    async with listener_harness(users=WITH_CODE) as house:
        only = "PreferredAuthentications=keyboard-interactive"
        (await openssh(house.port, only, env=answering(tmp_path, PASSWORD, code()))).ok()
        assert questions(tmp_path) == [
            "(alice@127.0.0.1) Password: ",
            "(alice@127.0.0.1) Verification code: ",
        ]
        assert house.logged("login.accepted")[0]["method"] == "keyboard-interactive+keyboard-interactive"
        assert SECRET not in repr(house.events)


async def test_openssh_proves_a_password_by_that_method_and_is_asked_for_the_code(tmp_path: Path) -> None:
    async with listener_harness(users=WITH_CODE) as house:
        order = "PreferredAuthentications=password,keyboard-interactive"
        (await openssh(house.port, order, env=answering(tmp_path, PASSWORD, code()))).ok()
        assert questions(tmp_path) == [
            "alice@127.0.0.1's password: ",
            "(alice@127.0.0.1) Verification code: ",
        ]


async def test_openssh_proves_a_key_and_is_asked_for_the_code_alone(tmp_path: Path) -> None:
    async with listener_harness(users=WITH_CODE) as house:
        key = f"IdentityFile={write_key(ALICES_KEY, tmp_path / 'key')}"
        (await openssh(house.port, key, env=answering(tmp_path, PASSWORD, code()))).ok()
        assert questions(tmp_path) == ["(alice@127.0.0.1) Verification code: "]


async def test_after_a_wrong_code_only_the_code_is_asked_for_again(tmp_path: Path) -> None:
    async with listener_harness(users=WITH_CODE) as house:
        only = "PreferredAuthentications=keyboard-interactive"
        (await openssh(house.port, only, env=answering(tmp_path, PASSWORD, "000000"))).failed()
        asked = [question.split()[1] for question in questions(tmp_path)]
        assert asked == ["Password:", "Verification", "Verification", "Verification"]
        assert not house.logged("login.accepted")


async def test_a_wrong_password_is_not_followed_by_the_code(tmp_path: Path) -> None:
    async with listener_harness(users=WITH_CODE) as house:
        only = "PreferredAuthentications=keyboard-interactive"
        (await openssh(house.port, only, env=answering(tmp_path, "wrong", code()))).failed()
        assert {question.split()[1] for question in questions(tmp_path)} == {"Password:"}


async def test_paramiko_proves_a_key_and_a_code() -> None:
    def log_in(transport: paramiko.Transport, key: paramiko.PKey) -> list[list[str]]:
        remaining = [transport.auth_publickey("alice", key)]
        remaining.append(transport.auth_interactive("alice", lambda *_: [code()]))
        return remaining

    async with listener_harness(users=WITH_CODE) as house:
        assert await by_paramiko(house, log_in) == [["keyboard-interactive"], []]
        (entry,) = house.logged("login.accepted")
        assert (entry["method"], entry["key"]) == (
            "publickey+keyboard-interactive",
            ALICES_KEY.get_fingerprint(),
        )


async def test_a_code_cannot_be_used_again() -> None:
    now = code()

    def log_in(transport: paramiko.Transport, key: paramiko.PKey) -> bool:
        transport.auth_publickey("alice", key)
        with contextlib.suppress(paramiko.AuthenticationException):
            transport.auth_interactive("alice", lambda *_: [now])
        return transport.is_authenticated()

    async with listener_harness(users=WITH_CODE) as house:
        assert [await by_paramiko(house, log_in) for _ in range(2)] == [True, False]


async def test_a_code_is_no_password_and_a_password_is_no_code() -> None:
    def attempt(transport: paramiko.Transport, key: paramiko.PKey) -> None:
        for answer in (code(), PASSWORD + code()):
            with pytest.raises(paramiko.AuthenticationException):
                transport.auth_interactive("alice", lambda *_, said=answer: [said])
        transport.auth_publickey("alice", key)
        with pytest.raises(paramiko.AuthenticationException):
            transport.auth_interactive("alice", lambda *_: [PASSWORD])
        assert refuses(transport, "alice", code())
        assert refuses(transport, "alice", PASSWORD)
        assert not transport.is_authenticated()

    async with listener_harness(users=WITH_CODE, ssh={"max_auth_attempts": 20}) as house:
        await by_paramiko(house, attempt)


async def test_three_factors_are_proven_one_after_the_other() -> None:
    def log_in(transport: paramiko.Transport, key: paramiko.PKey) -> list[list[str]]:
        remaining = [transport.auth_publickey("alice", key)]
        remaining.append(transport.auth_password("alice", PASSWORD, fallback=False))
        remaining.append(transport.auth_interactive("alice", lambda *_: [code()]))
        return remaining

    async with listener_harness(users=needs("publickey+password+totp", totp_secret=SECRET)) as house:
        assert await by_paramiko(house, log_in) == [
            ["password", "keyboard-interactive"],
            ["keyboard-interactive"],
            [],
        ]


@pytest.mark.parametrize("other", [False, True], ids=["the same account", "another account"])
async def test_a_proven_factor_counts_for_the_account_that_it_was_proven_for(other: bool) -> None:
    """An account of the same name with another key takes its place between key and password."""

    async with listener_harness(users=BOTH) as house:

        class Waiting(asyncssh.SSHClient):
            async def password_auth_requested(self) -> str:
                assert len(house.logged("login.continued")) == 1
                key = asyncssh.generate_private_key("ssh-ed25519") if other else ALICES_KEY
                line = key.export_public_key().decode()
                now = {**BOTH, "alice": BOTH["alice"].model_copy(update={"authorized_keys": (line,)})}
                await house.users.replace(read_logins(now).accounts)
                return PASSWORD

        async def log_in() -> None:
            keys = {"client_keys": [ALICES_KEY], "preferred_auth": "publickey,password"}
            async with await house.connect(password=None, client_factory=Waiting, **keys):
                pass

        if other:
            with pytest.raises(asyncssh.PermissionDenied):
                await log_in()
        else:
            await log_in()
        assert len(house.logged("login.accepted")) == (0 if other else 1)


async def ask_to_change_the_password(house: ListenerHarness, password: str) -> None:
    """As in RFC 4252, 8: the request comes with the old password."""

    class Changing(asyncssh.SSHClient):
        def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
            self.conn: Any = conn

        async def password_auth_requested(self) -> str | None:
            words = (b"alice", b"ssh-connection", b"password")
            packet = b"".join(len(word).to_bytes(4, "big") + word for word in words) + b"\1"
            for word in (password.encode(), b"new"):
                packet += len(word).to_bytes(4, "big") + word
            self.conn.send_packet(50, packet)
            await asyncio.Event().wait()  # until the answer has come
            return None

    await house.connect(password=None, client_factory=Changing)


async def test_a_request_to_change_the_password_proves_nothing() -> None:
    async with listener_harness(users=needs("password+totp", totp_secret=SECRET)) as house:
        with pytest.raises(Refused):
            await ask_to_change_the_password(house, PASSWORD)
        assert not house.logged("login.continued")


@pytest.mark.parametrize("password", [PASSWORD, "wrong"], ids=["right", "wrong"])
async def test_a_request_to_change_the_password_tells_nobody_whether_it_is_right(password: str) -> None:
    """The refusal takes as long, is logged, and counts towards the ban of the source."""
    auth = {"refusal_time": 0.5, "ban_failures": 2}
    async with listener_harness(auth=auth) as house:
        began = time.perf_counter()
        for _ in range(2):
            with pytest.raises(Refused):
                await ask_to_change_the_password(house, password)
        assert time.perf_counter() - began >= 1.0
        assert [each["user"] for each in house.logged("login.failed")] == ["alice", "alice"]
        assert len(house.logged("source.banned")) == 1

"""`s3sftp test-login` says of a login and of operations what the server then does to a real client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import argon2
import paramiko
import pyotp
import pytest

from s3sftp.app.operation_trial import OperationTrial, parse_operation
from s3sftp.auth import Identity
from s3sftp.backends import FileInfo, Place, Session
from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import PermissionDenied
from s3sftp.fs import FileOptions
from testbed.s3_store import Store
from tests.cli.command_process import s3sftp
from tests.support.aws_users import REGION, Aws
from tests.support.hook_server import decides, hangs, running_hook
from tests.support.server import Server
from tests.support.ssh_ca import certify, make_key, make_krl, public_line, ssh_keygen

HASH = argon2.PasswordHasher(time_cost=1, memory_cost=8192).hash("right")
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
HERE, ELSEWHERE = "127.0.0.41", "127.0.0.42"
TODAY = datetime.now(UTC)


@dataclass
class House:
    """A server with users of every kind, and the keys that clients have."""

    server: Server
    keys: Path
    store: Store

    def trial(
        self, user: str, *words: str, source: str = HERE, stdin: str = ""
    ) -> tuple[int, dict[str, Any]]:
        """Exit status and report of `s3sftp test-login`."""
        config = ("--config", str(self.server.config_file), "--json")
        done = s3sftp("test-login", user, "--from", source, *config, *words, stdin=stdin)
        assert done.returncode in (0, 1), done.stderr
        return done.returncode, json.loads(done.stdout)

    def stored(self) -> list[tuple[str, str, datetime]]:
        """Key, ETag and time of everything in the bucket."""
        answer = self.store.blocking_client.list_objects_v2(Bucket=self.server.bucket)
        return [(item["Key"], item["ETag"], item["LastModified"]) for item in answer.get("Contents", [])]

    def put_back(self) -> None:
        """Store what the operations are tried on, and nothing else."""
        for key, _, _ in self.stored():
            if key.removeprefix("p/") not in STORED:
                self.store.blocking_client.delete_object(Bucket=self.server.bucket, Key=key)
        for key in STORED:
            # each has a content of its own: a copy of a file is a rename that was interrupted
            self.store.blocking_client.put_object(
                Bucket=self.server.bucket, Key=f"p/{key}", Body=key.encode()
            )


@pytest.fixture(scope="module")
def house(seaweed: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    directory = tmp_path_factory.mktemp("trials")
    keys = directory / "keys"
    keys.mkdir()
    for name in ("key", "other", "revoked", "ca", "strange-ca", "certified", "late", "stranger", "foreign"):
        make_key(keys, name)
    certify(keys / "ca", keys / "certified", principals="carla")
    certify(keys / "ca", keys / "late", "-V", "20200101:20210101", principals="carla")
    certify(keys / "ca", keys / "stranger", principals="somebody")
    certify(keys / "strange-ca", keys / "foreign", principals="carla")
    make_krl(directory / "krl", "", Path(f"{keys / 'revoked'}.pub"))
    line = public_line(keys / "key")
    with seaweed.space() as space:
        users: dict[str, dict[str, object]] = {
            "keyed": {"authorized_keys": [line]},
            "narrow": {"authorized_keys": [f'from="{ELSEWHERE}" {line}']},
            "stale": {"authorized_keys": [f'expiry-time="20200101" {line}']},
            "revoked": {"authorized_keys": [public_line(keys / "revoked")]},
            "worded": {"password_hash": HASH},
            "either": {"password_hash": HASH, "authorized_keys": [line]},
            "only-key": {"password_hash": HASH, "authorized_keys": [line], "methods": ["publickey"]},
            "both": {"password_hash": HASH, "authorized_keys": [line], "methods": ["publickey+password"]},
            "turned": {"password_hash": HASH, "authorized_keys": [line], "methods": ["password+publickey"]},
            "coded": {"password_hash": HASH, "totp_secret": SECRET},
            "off": {"authorized_keys": [line], "disabled": True},
            "gone": {"authorized_keys": [line], "expires": "2020-01-01"},
            "near": {"authorized_keys": [line], "networks": [HERE]},
            "idle": {"authorized_keys": [line], "hours": [_another_day()]},
            "carla": {"prefix": "carla/"},
        }
        options: dict[str, dict[str, object]] = {f"users.{name}": table for name, table in users.items()}
        options["auth"] = {
            "refusal_time": 0.01,
            "trusted_user_ca_keys": [public_line(keys / "ca")],
            "revoked_keys": str(directory / "krl"),
        }
        options |= _trees(line)
        server = Server(directory / "server", seaweed, space.bucket, options)
        try:
            yield House(server.start(), keys, seaweed)
        finally:
            server.close()


def _another_day() -> str:
    """Hours on a weekday that is neither today nor near it."""
    return f"{(TODAY + timedelta(days=3)):%a} 00:00-24:00"


def _trees(line: str) -> dict[str, dict[str, object]]:
    """Users for operations: of a tree with mounts, and who may only read."""
    return {
        "users.acme": {"authorized_keys": [line]},
        'users.acme.mounts."/inbox"': {
            "prefix": "p/in/",
            "rights": "drop-box",
            "allow": ["*.csv", "*.tmp"],
            "max_file_bytes": 1000,
        },
        'users.acme.mounts."/both"': {"prefix": "p/both/", "rights": "drop-box", "on_conflict": "keep-both"},
        'users.acme.mounts."/once"': {"prefix": "p/once/", "on_conflict": "refuse", "hide": [".*"]},
        'users.acme.mounts."/outbox"': {"prefix": "p/out/", "rights": "pick-up", "deny": ["*.exe"]},
        'users.acme.mounts."/work"': {"prefix": "p/work/"},
        'users.acme.mounts."/rates.csv"': {"prefix": "p/rates", "file": True, "rights": "read-only"},
        'users.acme.paths."/work/done"': {"rights": ["list", "read", "append"]},
        'users.acme.paths."/work/sized"': {"max_file_bytes": 1000},
        "users.reader": {"authorized_keys": [line], "prefix": "p/work/", "read_only": True},
    }


# ── logins ───────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Client:
    """What a client presents: names of keys, and secrets."""

    user: str
    keys: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    password: str | None = None
    code: Callable[[], str] | None = None
    source: str = HERE
    why: str = field(default="", kw_only=True)
    """A part of the reason of a refusal; empty: the login is accepted."""


def code_now() -> str:
    return pyotp.TOTP(SECRET).at(time.time())


KEY = ("key",)
CLIENTS = {
    "the right key": Client("keyed", KEY),
    "another key": Client("keyed", ("other",), why="it is none of the user's keys"),
    "a right key among wrong ones": Client("keyed", ("other", "key")),
    "a key from another address": Client("narrow", KEY, why="from="),
    "a key from its address": Client("narrow", KEY, source=ELSEWHERE),
    "a key that has expired": Client("stale", KEY, why="expiry-time"),
    "a revoked key": Client("revoked", ("revoked",), why="revoked"),
    "nobody": Client("nobody", KEY, password="right", why="there is no such user"),
    "the right password": Client("worded", password="right"),
    "a wrong password": Client("worded", password="wrong", why="the password is wrong"),
    "no password": Client("keyed", password="right", why="the user has no password"),
    "a key or a password": Client("either", ("other",), password="right"),
    "a password where it has to be a key": Client("only-key", password="right", why="is not what comes next"),
    "a key and a password": Client("both", KEY, password="right"),
    "a key, and no password": Client("both", KEY, why=""),
    "a password without its key": Client("both", password="right", why="is not what comes next"),
    "a key and a wrong password": Client("both", KEY, password="wrong", why="the password is wrong"),
    "a password before a key": Client("turned", KEY, password="right"),
    "a password and a code": Client("coded", password="right", code=code_now),
    "a password and a wrong code": Client("coded", password="right", code=lambda: "12", why="code is wrong"),
    "a password without a code": Client("coded", password="right", why=""),
    "a disabled user": Client("off", KEY, why="the user is disabled"),
    "a user who has expired": Client("gone", KEY, why="the user has expired"),
    "the user's network": Client("near", KEY),
    "another network": Client("near", KEY, source=ELSEWHERE, why="may not log in from this address"),
    "another hour": Client("idle", KEY, why="may not log in at this hour"),
    "a certificate": Client("carla", certificates=("certified",)),
    "a certificate that has expired": Client("carla", certificates=("late",), why="has expired"),
    "a certificate of somebody else": Client("carla", certificates=("stranger",), why="is for somebody"),
    "a certificate of another CA": Client("carla", certificates=("foreign",), why="CA"),
}
INCOMPLETE = {"a key, and no password": ["password"], "a password without a code": ["totp"]}


@pytest.mark.parametrize("case", CLIENTS)
def test_its_verdict_about_a_login_is_the_servers(house: House, case: str) -> None:
    client = CLIENTS[case]
    status, report = house.trial(
        client.user, *words_of(house, client), source=client.source, stdin=secret(client)
    )
    accepted = logs_in(house, client)
    assert report["accepted"] is accepted, report
    assert status == (0 if accepted else 1)
    assert accepted is (not client.why and case not in INCOMPLETE)
    reasons = [each["reason"] or "" for each in report["credentials"]]
    assert any(client.why in reason for reason in reasons), reasons
    assert report["missing"] == INCOMPLETE.get(case, report["missing"])


def secret(client: Client) -> str:
    return f"{client.password}\n" if client.password is not None else ""


def words_of(house: House, client: Client) -> list[str]:
    words = [word for name in client.keys for word in ("--key", str(house.keys / name))]
    for name in client.certificates:
        words += ["--certificate", str(house.keys / f"{name}-cert.pub")]
    if client.password is not None:
        words.append("--password")
    return [*words, "--code", client.code()] if client.code is not None else words


def logs_in(house: House, client: Client) -> bool:
    """Whether paramiko logs in with everything that the client has, in whatever order works."""
    with contextlib.closing(connected(house, client.source)) as transport:
        left = [*_key_methods(house, transport, client), *_secret_methods(transport, client)]
        progress = True
        while left and progress and not transport.is_authenticated():
            progress = False
            for method in list(left):
                try:
                    method()
                except paramiko.SSHException:
                    continue
                left.remove(method)
                progress = True
                break
        return transport.is_authenticated()


def connected(house: House, source: str) -> paramiko.Transport:
    sock = socket.create_connection((house.server.host, house.server.port), 20, (source, 0))
    transport = paramiko.Transport(sock)
    transport.start_client(timeout=20)
    return transport


def _key_methods(house: House, transport: paramiko.Transport, client: Client) -> list[Callable[[], object]]:
    keys = [paramiko.Ed25519Key.from_private_key_file(str(house.keys / name)) for name in client.keys]
    for name in client.certificates:
        key = paramiko.Ed25519Key.from_private_key_file(str(house.keys / name))
        key.load_certificate(str(house.keys / f"{name}-cert.pub"))
        keys.append(key)
    return [partial(transport.auth_publickey, client.user, key) for key in keys]


def _secret_methods(transport: paramiko.Transport, client: Client) -> list[Callable[[], object]]:
    methods: list[Callable[[], object]] = []
    if (password := client.password) is not None:
        methods.append(lambda: transport.auth_password(client.user, password, fallback=False))
    if (code := client.code) is not None:
        methods.append(lambda: transport.auth_interactive(client.user, lambda *_: [code()]))
    return methods


def test_a_wrong_key_is_shown_beside_those_that_the_user_has(house: House) -> None:
    config = ("--config", str(house.server.config_file))
    words = ("--key", f"{house.keys / 'other'}.pub", "--from", HERE)
    done = s3sftp("test-login", "keyed", *config, *words)
    assert done.returncode == 1
    own = paramiko.Ed25519Key.from_private_key_file(str(house.keys / "key")).fingerprint
    sent = paramiko.Ed25519Key.from_private_key_file(str(house.keys / "other")).fingerprint
    assert f"refused ssh-ed25519 {sent}: it is none of the user's keys" in done.stdout
    assert f"the user has ssh-ed25519 {own}" in done.stdout
    assert f"{house.server.config_file}, line" in done.stdout


def test_a_login_at_another_time_is_judged_by_that_time(house: House) -> None:
    key = ("--key", str(house.keys / "key"))
    then = (TODAY + timedelta(days=3)).replace(hour=12, minute=0).isoformat()
    assert house.trial("idle", *key)[0] == 1
    assert house.trial("idle", *key, "--at", then)[0] == 0
    assert house.trial("gone", *key, "--at", "2019-12-31T23:00:00Z")[0] == 0
    certificate = ("--certificate", f"{house.keys / 'late'}-cert.pub")
    assert house.trial("carla", *certificate, "--at", "2020-06-01T00:00:00Z")[0] == 0
    assert house.trial("stale", *key, "--at", "2019-06-01T00:00:00Z")[0] == 0
    code = ("--code", pyotp.TOTP(SECRET).at(1_900_000_000), "--password")
    at = datetime.fromtimestamp(1_900_000_000, UTC).isoformat()
    assert house.trial("coded", *code, "--at", at, stdin="right\n")[0] == 0


def test_a_ban_of_the_address_at_the_running_server_is_shown(house: House, tmp_path: Path) -> None:
    key, config = ("--key", str(house.keys / "key")), ("--config", str(house.server.config_file))
    status, report = house.trial("keyed", *key)
    assert (status, report["ban"]["state"]) == (0, "none")
    assert s3sftp("bans", "add", ELSEWHERE, "--for", "1h", *config).returncode == 0
    status, report = house.trial("keyed", *key, source=ELSEWHERE)
    assert (status, report["accepted"], report["ban"]["state"]) == (1, True, "banned")
    assert datetime.fromisoformat(report["ban"]["until"]) > TODAY
    shown = s3sftp("test-login", "keyed", "--from", ELSEWHERE, *key, *config).stdout
    assert f"`s3sftp bans lift {ELSEWHERE}` ends it" in shown
    assert "login  accepted, once the address is not banned any more" in shown
    assert "not checked: how many connections and sessions there are" in shown
    assert s3sftp("bans", "lift", ELSEWHERE, *config).returncode == 0
    assert house.trial("keyed", *key, source=ELSEWHERE)[0] == 0
    elsewhere = tmp_path / "s3sftp.toml"
    elsewhere.write_text(
        re.sub(r"(?m)^state_dir = .*$", f'state_dir = "{tmp_path}"', house.server.config_file.read_text())
    )
    report = json.loads(
        s3sftp("test-login", "keyed", "--from", HERE, *key, "--config", str(elsewhere), "--json").stdout
    )
    assert report["ban"]["state"] == "unknown"
    assert "no server answers" in report["ban"]["reason"]


def test_the_public_half_of_an_encrypted_private_key_is_enough(house: House, tmp_path: Path) -> None:
    encrypted = tmp_path / "encrypted"
    encrypted.write_bytes((house.keys / "key").read_bytes())
    encrypted.chmod(0o600)
    ssh_keygen("-p", "-q", "-P", "", "-N", "a passphrase", "-f", encrypted)
    assert house.trial("keyed", "--key", str(encrypted))[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--key", "{other}", "--from", "example.com"), "'example.com' should be an IP address"),
        (("--key", "/no/key", "--from", HERE), "'/no/key': No such file"),
        (("--from", HERE), "give what the client has"),
        (("--key", "{other}", "--from", HERE, "--try", "fetch /a"), "should be one of: put PATH"),
        (("--key", "{other}", "--from", HERE, "--try", "rename /a"), "should be: rename PATH NEW"),
        (("--key", "{other}", "--from", HERE, "--at", "tomorrow"), "should be a time with its zone"),
        (("--key", "{config}", "--from", HERE), "no key that can be used"),
        (("--certificate", "{other}.pub", "--from", HERE), "a key, and no certificate"),
    ],
)
def test_a_wrong_command_is_told_from_a_refusal(house: House, words: tuple[str, ...], said: str) -> None:
    files = {"other": house.keys / "other", "config": house.server.config_file}
    filled = [word.format(**files) for word in words]
    done = s3sftp("test-login", "keyed", "--config", str(house.server.config_file), *filled)
    assert (done.returncode, said in " ".join(done.stderr.split())) == (2, True), done.stderr


# ── operations ───────────────────────────────────────────────────────────────────────────────────

STORED = (
    *("in/old.csv", "both/old.csv", "once/old.csv", "once/.secret", "out/a.csv", "out/b.csv", "out/c.exe"),
    *("work/a", "work/b", "work/c", "work/d/e", "work/done/x", "work/full/y", "work/t", "work/s", "rates"),
    *("work/new-one", "work/new-two", "work/m", "work/n", "work/app", "once/r", "work/v/w", "work/sized/app"),
)
OPERATIONS: dict[str, list[tuple[str, str | None]]] = {
    "acme": [
        ("put /inbox/x.csv", ""),
        ("put /inbox/x.exe", "allow: *.csv, *.tmp"),
        ("put /inbox/old.csv", "missing right: overwrite"),
        ("put /inbox/large.csv 1001", "max_file_bytes: 1000"),
        ("put /inbox/small.csv 1000", ""),
        ("get /inbox/old.csv", "missing right: read"),
        ("ls /inbox", "missing right: list"),
        ("stat /inbox/old.csv", None),
        ("rm /inbox/old.csv", "missing right: delete"),
        ("mkdir /inbox/d", "missing right: mkdir"),
        ("rename /inbox/old.csv /inbox/new.csv", "missing right: rename"),
        ("append /inbox/old.csv", "missing right: append"),
        ("append /inbox/fresh.csv", ""),
        ("append /work/sized/app 986", ""),
        ("append /work/sized/app 987", "max_file_bytes: 1000"),  # there are 14 bytes already
        ("setstat /inbox/old.csv", "missing right: setstat"),
        ("put /both/old.csv", ""),
        ("put /once/old.csv", "on_conflict: refuse"),
        ("put /once/.hidden", "hide: .*"),
        ("get /once/.secret", "hide: .*"),
        ("rename /work/m /once/r", "on_conflict: refuse"),
        ("ls /outbox", ""),
        ("get /outbox/a.csv", ""),
        ("get /outbox/none.csv", None),
        ("get /outbox/c.exe", "deny: *.exe"),
        ("rm /outbox/a.csv", ""),
        ("rm /outbox/c.exe", "deny: *.exe"),
        ("put /outbox/b.csv", "missing right: write"),
        ("rmdir /outbox", "missing right: rmdir"),
        ("put /elsewhere", "no mount there"),
        ("ls /", ""),
        ("ls /none", None),
        ("put /work/a", ""),
        ("put /work/full", ""),  # S3 may have a file and a directory of one name
        ("put /work/a/b", None),
        ("rm /work/b", ""),
        ("rm /work/none", None),
        ("rm /work/full", None),
        ("mkdir /work/fresh", ""),
        ("mkdir /work/full", None),
        ("mkdir /work/no/where", None),
        ("rmdir /work/full", None),
        ("rmdir /work/c", None),
        ("rmdir /inbox", "missing right: rmdir"),
        ("rmdir /work", "fixed by configuration"),
        ("rename /work/c /work/d/c", ""),
        ("rename /work/n /work/app", ""),
        ("rename /work/none /work/other", None),
        ("rename /work/full /work/t", None),
        ("rename-new /work/new-one /work/new-two", None),
        ("rename-new /work/new-one /work/new-three", ""),
        ("rename /work/v /work/v/w", None),
        ("rename /work/t /work/done/t", "missing right: write"),
        ("rename /work/done/x /work/x", "missing right: rename"),
        ("append /work/done/x", ""),
        ("put /work/done/x", "missing right: write"),
        ("setstat /work/s", ""),
        ("setstat /work/none", None),
        ("setstat /work/done/x", "missing right: setstat"),
        ("truncate /work/s 3", ""),
        ("truncate /inbox/old.csv 3", "missing right: append"),
        ("get /rates.csv", ""),
        ("put /rates.csv", "missing right: write"),
        ("rm /rates.csv", "missing right: delete"),
        ("stat /rates.csv", ""),
    ],
    "reader": [
        ("ls /", ""),
        ("get /s", ""),
        ("put /s", "missing right: write"),
        ("mkdir /d2", "missing right: mkdir"),
        ("rename /s /s2", "missing right: rename"),
    ],
}
"""For each user operations, and the rule that refuses them: empty if they are allowed, None if what is stored
refuses."""


@pytest.mark.parametrize("user", OPERATIONS)
def test_its_verdicts_about_operations_are_the_servers(house: House, user: str) -> None:
    house.put_back()
    before = house.stored()
    tries = [word for text, _ in OPERATIONS[user] for word in ("--try", text)]
    _, report = house.trial(user, "--key", str(house.keys / "key"), *tries)
    assert house.stored() == before, "it has changed something"
    found = {each["operation"]: each for each in report["operations"]}
    expected = {text: rule if rule is None else rule or "allowed" for text, rule in OPERATIONS[user]}
    assert {text: verdict_of(each) for text, each in found.items()} == expected
    done = {text: does(house, user, text) for text, _ in OPERATIONS[user]}
    assert done == {text: each["state"] == "allowed" for text, each in found.items()}


def verdict_of(tried: dict[str, Any]) -> str | None:
    return "allowed" if tried["state"] == "allowed" else tried["rule"]


def does(house: House, user: str, text: str) -> bool:
    """Whether paramiko performs an operation as the first one of a session, on what was stored at first."""
    house.put_back()
    client = Client(user, KEY)
    with contextlib.closing(connected(house, HERE)) as transport:
        _key_methods(house, transport, client)[0]()
        sftp = paramiko.SFTPClient.from_transport(transport)
        assert sftp is not None
        with sftp:
            verb, *words = text.split()
            try:
                perform(sftp, verb, *words)
            except OSError:
                return False
            return True


def perform(sftp: paramiko.SFTPClient, verb: str, path: str, *more: str) -> None:
    """Raises OSError: if it is refused."""
    match verb:
        case "put" | "append":
            with sftp.open(path, "w" if verb == "put" else "a") as file:
                file.write(b"x" * int(more[0] if more else 1))
        case "get":
            with sftp.open(path) as file:
                file.read()
        case "ls":
            sftp.listdir(path)
        case "stat":
            sftp.stat(path)
        case "rm":
            sftp.remove(path)
        case "mkdir":
            sftp.mkdir(path)
        case "rmdir":
            sftp.rmdir(path)
        case "rename":
            sftp.posix_rename(path, more[0])
        case "rename-new":
            sftp.rename(path, more[0])
        case "setstat":
            sftp.utime(path, (1, 1))
        case "truncate":
            sftp.truncate(path, int(more[0]))


def test_a_refusal_names_the_option_the_line_and_what_would_be_right(house: House) -> None:
    house.put_back()
    key = ("--key", str(house.keys / "key"))
    for operation, option, right in {
        ("put /inbox/x.exe", "mounts./inbox.allow", "add a pattern for 'x.exe'"),
        ("put /work/done/y", "paths./work/done.rights", 'add "write"'),
        ("rename /work/a /inbox/a.exe", "mounts./inbox.allow", "add a pattern"),
        ("put /once/old.csv", "mounts./once.on_conflict", 'set mounts./once.on_conflict to "overwrite"'),
        ("put /inbox/a.csv 2KiB", "mounts./inbox.max_file_bytes", "raise mounts./inbox.max_file_bytes"),
        ("put /nowhere", "mounts", "add a mount"),
    }:
        _, report = house.trial("acme", *key, "--try", operation)
        (tried,) = report["operations"]
        assert (tried["option"], tried["state"]) == (option, "refused")
        assert right in tried["advice"]
        file, number = tried["where"].rsplit(", line ", 1)
        assert file == str(house.server.config_file)
        text = Path(file).read_text().splitlines()[int(number) - 1]
        assert option.rpartition(".")[2] in text or option == "mounts", text
    _, report = house.trial("reader", *key, "--try", "put /a")
    assert report["operations"][0]["option"] == "read_only"


def test_a_storage_that_cannot_be_reached_is_told_from_a_refusal(house: House, tmp_path: Path) -> None:
    config = tmp_path / "s3sftp.toml"
    text = house.server.config_file.read_text().replace(house.store.endpoint_url, "http://127.0.0.1:9")
    config.write_text(text.replace("[s3]\n", "[s3]\nattempts = 1\nmetadata_timeout = 2\n"))
    tries = ("--try", "put /inbox/x.exe", "--try", "get /outbox/a.csv")
    words = ("--key", str(house.keys / "key"), "--from", HERE, "--json")
    done = s3sftp("test-login", "acme", "--config", str(config), *words, *tries)
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert report["accepted"]
    assert [each["state"] for each in report["operations"]] == ["refused", "unknown"]
    assert "127.0.0.1:9" in str(report["operations"][1]["detail"])


def test_a_mount_in_another_storage_is_shown_with_its_bucket(house: House, tmp_path: Path) -> None:
    config = tmp_path / "s3sftp.toml"
    text = house.server.config_file.read_text()
    archive = '[storages.archive]\nbucket = "the-archive"\nprefix = "cold"\nregion = "eu-central-1"\n'
    user = f"[users.archivist]\nauthorized_keys = ['{public_line(house.keys / 'key')}']\n"
    mount = '[users.archivist.mounts."/old"]\nprefix = "acme/"\nstorage = "archive"\n'
    config.write_text(f"{text}\n{archive}{user}{mount}")
    words = ("--key", str(house.keys / "key"), "--from", HERE, "--config", str(config), "--json")
    done = s3sftp("test-login", "archivist", *words)
    assert done.returncode == 0, done.stderr
    shown = {rule["path"]: rule["storage"] for rule in json.loads(done.stdout)["rules"]}
    assert shown == {"/": None, "/old": "s3://the-archive/cold/acme/"}


# ── other sources ────────────────────────────────────────────────────────────────────────────────


async def test_a_user_of_the_hook_is_asked_of_the_hook(house: House, tmp_path: Path) -> None:
    line = public_line(house.keys / "key")

    def answer(asked: dict[str, Any]) -> object:
        if asked["username"] != "bob" or asked["password"] not in ("", "right"):
            return {}
        return {
            "authenticated": True,
            "user": {"authorized_keys": [line], "prefix": "bob/", "rights": "drop-box"},
        }

    async with running_hook(decides(answer)) as hook:
        config = _with_hook(house, tmp_path, hook.url)
        status, report = await _trial(config, "bob", "--password", "--try", "get /x", stdin="right\n")
        assert (status, report["accepted"], report["source"]) == (1, True, "the hook")
        assert report["operations"][0]["rule"] == "missing right: read"
        status, report = await _trial(config, "bob", "--key", str(house.keys / "key"))
        assert (status, report["rules"][0]["storage"]) == (0, f"s3://{house.server.bucket}/bob/")
        status, report = await _trial(config, "bob", "--key", str(house.keys / "other"))
        (tried,) = report["credentials"]
        own = paramiko.Ed25519Key.from_private_key_file(str(house.keys / "key")).fingerprint
        assert (status, tried["user_keys"]) == (1, [f"ssh-ed25519 {own}"])
        status, report = await _trial(config, "bob", "--password", stdin="wrong\n")
        assert (status, report["credentials"][0]["reason"]) == (1, "the hook refuses it")
        hook.answer = hangs
        status, report = await _trial(config, "bob", "--password", stdin="right\n")
        (tried,) = report["credentials"]
        assert (status, tried["state"]) == (1, "unanswered")
        assert "hook.request_failed: " in tried["reason"]
        count = len(hook.asked)
        assert (await _trial(config, "keyed", "--key", str(house.keys / "key")))[0] == 0
        assert len(hook.asked) == count, "the hook was asked for a user of the configuration"


AWS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}


def test_a_user_of_a_table_that_gives_no_answer_is_unanswered_and_not_of_the_next_source(
    house: House, tmp_path: Path
) -> None:
    config = _with_hook(house, tmp_path, "http://127.0.0.1:9")
    config.write_text(config.read_text() + _table("http://127.0.0.1:9"))
    words = ("--password", "--from", HERE, "--config", str(config), "--json")
    done = s3sftp("test-login", "bob", *words, stdin="right\n", **AWS)
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    (tried,) = report["credentials"]
    assert (report["accepted"], tried["state"]) == (False, "unanswered")
    assert "aws_users.request_failed" in tried["reason"]
    assert report["source"] == "a source that gave no answer"


def test_a_table_that_is_the_last_source_has_its_name(house: House, moto: Store, tmp_path: Path) -> None:
    aws = Aws(moto)
    aws.make_table()
    aws.put_item("bob", authorized_keys=[public_line(house.keys / "key")])
    config = tmp_path / "s3sftp.toml"
    config.write_text(house.server.config_file.read_text() + _table(moto.endpoint_url, aws.table))
    words = ("--key", str(house.keys / "other"), "--from", HERE, "--config", str(config), "--json")
    environ = {"AWS_ACCESS_KEY_ID": moto.access_key, "AWS_SECRET_ACCESS_KEY": moto.secret_key}
    done = s3sftp("test-login", "bob", *words, **environ)
    report = json.loads(done.stdout)
    (tried,) = report["credentials"]
    assert (done.returncode, report["source"], tried["state"]) == (1, "dynamodb", "refused")
    assert tried["reason"] == "it is none of the user's keys"


def _table(url: str, name: str = "users") -> str:
    options = f'users_table = "{name}"\nregion = "{REGION}"\nendpoint_url = "{url}"'
    return f"\n[dynamodb]\n{options}\ntimeout = 5\nretries = 0\n"


def _with_hook(house: House, directory: Path, url: str) -> Path:
    config = directory / "s3sftp.toml"
    config.write_text(house.server.config_file.read_text() + f'\n[hook]\nurl = "{url}"\ntimeout = 2\n')
    return config


async def _trial(config: Path, user: str, *words: str, stdin: str = "") -> tuple[int, dict[str, Any]]:
    command = ("test-login", user, "--from", HERE, "--config", str(config), "--json", *words)
    done = await asyncio.to_thread(s3sftp, *command, stdin=stdin)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


class EnforcingBackend(MemoryBackend):
    """Refuses users whose session does not say what they may do, as a bucket with session policies does."""

    wants_grants = True

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        if not session.grants:
            raise PermissionDenied
        return await super().file_info(place, session)


async def test_a_storage_that_enforces_rights_itself_is_told_those_of_the_user() -> None:
    storage = EnforcingBackend({"acme/f": b"x"})
    trial = OperationTrial(storage, FileOptions(), Identity("acme", "acme/"), HERE)
    assert (await trial.run(parse_operation("stat /f"))).state == "allowed"

"""A source of credentials that fails is told by its name; the server goes on, and is well again with it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from s3sftp.backends.s3 import check
from s3sftp.backends.s3 import client as client_module
from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.credentials import credential_process, renewal
from s3sftp.errors import ConfigurationError, StorageFailure
from tests.backends.s3 import test_fast_client_reads
from tests.backends.s3.test_fast_client_reads import options
from tests.support.logs import capture_events
from tests.support.raw_store import RawStore, Wire, head_of, sends

OK = head_of("200 OK", 'ETag: "v"', "Content-Length: 0", "Date: now")

SECRET = "wJalrXUtnFEMIbPxRfiCYEXAMPLEKEY"
GOOD = json.dumps({"Version": 1, "AccessKeyId": "AKID", "SecretAccessKey": SECRET})
CHAIN: dict[str, Any] = {
    "access_key_id": None,
    "secret_access_key": None,
    "metadata_timeout": timedelta(seconds=60),
}
SHORT: dict[str, Any] = {"metadata_timeout": timedelta(seconds=3)}
"""For sources that never answer."""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of this machine is a source, and a failure is not remembered."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(renewal, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(renewal, "_REPEAT_SECONDS", 0.0)
    monkeypatch.setattr(client_module, "_PAUSE_SECONDS", 0.0)


def opened(raw: RawStore, **changes: Any) -> AbstractAsyncContextManager[S3Client]:
    """A started Store that has its credentials from the chain."""
    return test_fast_client_reads.opened(raw, **(CHAIN | changes))


def process(tmp_path: Path, command: str) -> None:
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {command}\n")


async def failure_of(store: S3Client) -> StorageFailure:
    with pytest.raises(StorageFailure, match="refuses the server's credentials") as raised:
        await store.call("HeadObject", Key="k")
    assert raised.value.detail is not None
    assert "\n" not in raised.value.detail
    assert SECRET not in raised.value.detail
    return raised.value


PROCESSES = {
    "/bin/echo vault is sealed": "credential_process.*cannot be understood",
    "/bin/false": "credential_process.*status 1",
    f"/bin/sh -c 'echo {SECRET}; exit 3'": "credential_process.*status 3",
    f"/bin/sh -c 'echo {SECRET} >&2; exit 3'": "credential_process.*status 3",
    f"/bin/echo {SECRET}": "credential_process.*cannot be understood",
    "/bin/echo []": "credential_process.*cannot be understood",
    f'/bin/echo \'{{"Version": "{SECRET}"}}\'': "credential_process",
    f'/bin/echo \'{{"Version": 1, "AccessKeyId": 5, "SecretAccessKey": "{SECRET}"}}\'': "access key",
    f'/bin/echo \'{{"Version": 1, "AccessKeyId": "a\\nb", "SecretAccessKey": "{SECRET}"}}\'': "access key",
    '/bin/echo \'{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "s", "Expiration": "soon"}\'': (
        "credential_process"
    ),
    "/bin/sh -c 'head -c 100000000 /dev/zero'": "credential_process.*more than 1 MiB",
    "/bin/sh -c 'head -c 2000000 /dev/zero; exec sleep 1000'": "credential_process.*more than 1 MiB",
    "/bin/sh -c 'exec sleep 1000'": "credential_process.*no answer in",
    "/no/such/command": "credential_process.*cannot be started",
    "'unbalanced": "credential_process",
}


@pytest.mark.parametrize("command", PROCESSES)
async def test_a_process_that_gives_no_credentials_is_named(
    tmp_path: Path, command: str, caplog: pytest.LogCaptureFixture
) -> None:
    process(tmp_path, command)
    patience = SHORT if "no answer" in PROCESSES[command] else {}
    async with RawStore(sends(OK)) as raw, opened(raw, **patience) as store:
        with capture_events() as lines:
            error = await failure_of(store)
        assert raw.requests == []
        assert re.search(PROCESSES[command], str(error.detail)), error.detail
        assert SECRET not in f"{lines} {caplog.text}"  # of the libraries the standard library tells
        (tmp_path / "good").write_text(GOOD)
        process(tmp_path, f"/bin/cat {tmp_path / 'good'}")
        if "no answer" not in PROCESSES[command]:
            assert "credentials.failed" in events(lines)
            await store.call("HeadObject", Key="k")


async def test_a_process_that_hangs_runs_once_and_ends_with_the_server(tmp_path: Path) -> None:
    process(tmp_path, f"/bin/sh -c 'echo $$ >> {tmp_path}/pids; sleep 1000'")
    async with RawStore(sends(OK)) as raw:
        async with opened(raw, **SHORT) as store:
            await asyncio.gather(*(failure_of(store) for _ in range(5)))
            while not (tmp_path / "pids").exists() or not (tmp_path / "pids").read_text():
                await asyncio.sleep(0.01)
            [pid] = (tmp_path / "pids").read_text().split()
            assert Path(f"/proc/{pid}").exists()
        assert not Path(f"/proc/{pid}").exists()


async def test_a_process_that_hangs_is_ended_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewal, "_LONGEST_SECONDS", 1.0)
    process(tmp_path, f"/bin/sh -c 'echo $$ >> {tmp_path}/pids; sleep 1000'")
    patience = {"metadata_timeout": timedelta(seconds=30)}
    async with RawStore(sends(OK)) as raw, opened(raw, **patience) as store:
        assert "no answer in time" in str((await failure_of(store)).detail)
        for pid in (tmp_path / "pids").read_text().split():
            assert not Path(f"/proc/{pid}").exists()


async def test_a_source_profile_runs_its_process_within_the_same_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credential_process, "MOST_BYTES", 10)
    (tmp_path / "config").write_text(
        "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\n"
        "[profile base]\ncredential_process = /bin/echo much more than that\n"
    )
    async with RawStore(sends(OK)) as raw, opened(raw) as store:
        assert "printed more than" in str((await failure_of(store)).detail)


SETTINGS: dict[str, tuple[dict[str, str], str, str]] = {
    "no profile": ({"AWS_PROFILE": "nosuch"}, "", "nosuch"),
    "no parser": ({}, "[default\nregion", "config"),
    "half a key": ({"AWS_ACCESS_KEY_ID": "a"}, "", "environment"),
    "strange host": ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://10.1.2.3/v1"}, "", "container.*10.1.2.3"),
    "nobody there": ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/v1"}, "", "container"),
    "no token": (
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "/no/such/token", "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/r"},
        "",
        "web identity.*/no/such/token",
    ),
    "no STS": (
        {
            "AWS_WEB_IDENTITY_TOKEN_FILE": "/proc/self/cmdline",
            "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/r",
            "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9",
        },
        "",
        "web identity.*127.0.0.1:9",
    ),
    "STS by plain http": (
        {
            "AWS_WEB_IDENTITY_TOKEN_FILE": "/proc/self/cmdline",
            "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/r",
            "AWS_ENDPOINT_URL_STS": "http://sts.test",
        },
        "",
        "http://sts.test is plain http",
    ),
    "no source profile": (
        {},
        "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = nosuch\n",
        "role_arn.*nosuch",
    ),
    "no SSO": (
        {},
        "[default]\nsso_start_url = https://sso.test\nsso_region = us-east-1\nsso_account_id = 123456789012\n"
        "sso_role_name = r\n",
        "SSO",
    ),
    "nothing at all": ({}, "", "no source has any"),
    "no certificates": ({"AWS_CA_BUNDLE": "/no/such/bundle"}, "", "/no/such/bundle"),
}


@pytest.mark.parametrize("what", SETTINGS)
async def test_settings_that_give_no_credentials_are_named_and_may_get_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    variables, config, says = SETTINGS[what]
    (tmp_path / "config").write_text(config)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    patience = {"metadata_timeout": timedelta(seconds=30)}
    async with RawStore(sends(OK)) as raw, opened(raw, **patience) as store:
        error = await failure_of(store)
        assert re.search(says, str(error.detail)), error.detail
        assert raw.requests == []
        for name in variables:
            monkeypatch.delenv(name)
        (tmp_path / "config").write_text("")
        (tmp_path / "credentials").write_text(
            f"[default]\naws_access_key_id = AKID\naws_secret_access_key = {SECRET}\n"
        )
        await store.call("HeadObject", Key="k")
        assert len(raw.requests) == 1


async def test_check_says_which_source_has_failed(tmp_path: Path) -> None:
    process(tmp_path, "/bin/false")
    async with RawStore(sends(OK)) as raw:
        [finding] = await check(options(raw, **CHAIN))
    assert finding.state == "failed"
    assert "credential_process of profile" in finding.advice or "credential_process:" in finding.advice


@pytest.mark.parametrize("kind", ["error", "long", "garbage"])
async def test_an_agent_that_answers_nonsense_is_named(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    said = {
        "error": head_of("500 Broken", f"Content-Length: {len(SECRET)}") + SECRET.encode(),
        "long": head_of("200 OK", "Content-Length: 5000000") + bytes(5_000_000),
        "garbage": head_of("200 OK", f"Content-Length: {len(SECRET)}") + SECRET.encode(),
    }[kind]

    async def hangs_up(wire: Wire) -> None:
        await wire.send(said)
        wire.close()

    patience = {"metadata_timeout": timedelta(seconds=30)}
    async with RawStore(hangs_up) as agent, RawStore(sends(OK)) as raw:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{agent.url('localhost')}/v1")
        async with opened(raw, **patience) as store:
            assert "container" in str((await failure_of(store)).detail)


async def test_a_metadata_service_that_hangs_holds_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(wire: Wire) -> None:
        await wire.closed_by_peer()

    async with RawStore(hangs) as agent, RawStore(sends(OK)) as raw:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", agent.url())
        async with opened(raw, **SHORT) as store, asyncio.timeout(20):
            await failure_of(store)


def events(lines: Iterable[Mapping[str, Any]]) -> list[object]:
    return [line["event"] for line in lines]


def expiring(seconds: float, key: str = "AKID") -> str:
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return json.dumps(json.loads(GOOD) | {"AccessKeyId": key, "Expiration": moment.isoformat()})


async def test_credentials_at_hand_are_good_until_they_expire(
    tmp_path: Path,
) -> None:
    answer = tmp_path / "answer"
    answer.write_text(expiring(600, "FIRST"))
    process(tmp_path, f"/bin/cat {answer}")
    async with RawStore(sends(OK)) as raw, opened(raw) as store:
        await store.call("HeadObject", Key="k")
        answer.write_text("vault is sealed")
        with capture_events() as lines:
            while "credentials.failed" not in events(lines):
                await store.call("HeadObject", Key="k")  # which succeeds all the while
                await asyncio.sleep(0.01)
            answer.write_text(expiring(3600, "SECOND"))
            while "Credential=SECOND/" not in raw.requests[-1]:
                await store.call("HeadObject", Key="k")
                await asyncio.sleep(0.01)
        assert "credentials.recovered" in events(lines)


async def test_expired_credentials_of_a_source_that_broke_are_told_until_it_is_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = tmp_path / "answer"
    answer.write_text(expiring(3))
    process(tmp_path, f"/bin/cat {answer}")
    async with RawStore(sends(OK)) as raw, opened(raw) as store:
        await store.call("HeadObject", Key="k")
        answer.write_text("vault is sealed")
        held = store._credentials
        assert held is not None
        while not held._expires_within(0):
            await asyncio.sleep(0.05)
        assert "credential_process" in str((await failure_of(store)).detail)
        answer.write_text(expiring(3600))
        await store.call("HeadObject", Key="k")


ENDPOINTS = {
    "AWS_ENDPOINT_URL_S3": "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL": "AWS_ENDPOINT_URL ",
    "endpoint_url = http://store.test": "endpoint_url of profile 'default'",
    "services = mine\n[services mine]\ns3 =\n  endpoint_url = http://store.test": "services section 'mine'",
}


@pytest.mark.parametrize("source", ENDPOINTS)
async def test_plain_http_to_another_machine_is_refused_whoever_says_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    if source.startswith("AWS_"):
        monkeypatch.setenv(source, "http://user:hush@store.test")
    else:
        (tmp_path / "config").write_text(f"[default]\n{source}\n")
    async with RawStore(sends(OK)) as raw:
        with pytest.raises(ConfigurationError, match=ENDPOINTS[source]) as raised:
            await S3Client(options(raw, endpoint_url=None)).start()
        assert "http://store.test" in str(raised.value)
        assert "hush" not in str(raised.value)
        accepted = S3Client(options(raw, endpoint_url=None, allow_plain_http=True))
        await accepted.start()
        assert accepted._client.meta.endpoint_url.endswith("store.test")
        await accepted.stop()
        given = S3Client(options(raw, endpoint_url="https://other.test"))
        await given.start()
        await given.stop()
        monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
        ignored = S3Client(options(raw, endpoint_url=None))
        await ignored.start()
        assert ignored._client.meta.endpoint_url == "https://s3.amazonaws.com"
        await ignored.stop()


async def test_bodies_are_signed_where_the_environment_leads_over_plain_http(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://store.test")
    async with RawStore(sends(OK)) as raw:
        store = S3Client(options(raw, endpoint_url=None, allow_plain_http=True))
        await store.start()
        assert store._direct is not None
        assert store._direct._signs_bodies is None
        await store.stop()

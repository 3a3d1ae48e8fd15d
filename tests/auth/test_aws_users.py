"""Users in DynamoDB and Secrets Manager: moto as the services, and a relay that fails on command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncssh
import pyotp
import pytest
from argon2 import PasswordHasher

from s3sftp.auth import AuthGateway, AuthOptions, ConfiguredUsers, Identity
from s3sftp.auth.aws import DynamoDbOptions, SecretsManagerOptions
from s3sftp.auth.aws.aws_users import AwsUsers, Records
from s3sftp.auth.aws.dynamodb import UsersTable
from s3sftp.auth.aws.secrets_manager import UserSecrets
from s3sftp.auth.sources.availability import PROBE_USER
from s3sftp.auth.sources.transfer_family import UserHomes
from s3sftp.errors import ConfigurationError, UsersUnavailable
from s3sftp.telemetry.metric_catalogue import AWS_USER_REQUESTS, AWS_USERS_DOWN
from s3sftp.telemetry.metrics import Metrics
from testbed.s3_store import Store
from tests.support.aws_users import REGION, Aws, Relay, babbles, breaks_off, errs, hangs, running_relay
from tests.support.logs import capture_events

ADDRESS = "192.0.2.7"
PASSWORD = "Password1234"
KEY = asyncssh.generate_private_key("ssh-ed25519")
OTHER_KEY = asyncssh.generate_private_key("ssh-ed25519")
LINE = KEY.export_public_key().decode().strip()
BOB = Identity("bob", "bob/")
SERVICES = ["dynamodb", "secrets_manager"]
EITHER = pytest.mark.parametrize("service", SERVICES)
AWS_FORM = {
    "Role": "arn:aws:iam::123456789012:role/r",
    "Password": PASSWORD,
    "HomeDirectory": "/exchange/bob",
    "PublicKey": LINE,
}
OWN_FORM = {"password_hash": PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)}
OWN_FORM_ALL: dict[str, Any] = OWN_FORM | {"prefix": "bob/", "authorized_keys": [LINE]}


@pytest.fixture
def aws(moto: Store, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """Services that the environment's credentials open."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto.secret_key)
    aws = Aws(moto)
    aws.make_table()
    return aws


@pytest.fixture
async def relay(moto: Store) -> AsyncIterator[Relay]:
    async with running_relay(moto) as relay:
        yield relay


def put(aws: Aws, service: str, user: str, record: dict[str, Any]) -> None:
    if service == "dynamodb":
        aws.put_item(user, **record)
    else:
        aws.put_secret(user, record)


def records_of(aws: Aws, service: str, url: str, metrics: Metrics, **options: Any) -> tuple[Records, Any]:
    given = {"region": REGION, "endpoint_url": url, "role": "ignore", "retries": 0} | options

    def count(result: str) -> None:
        metrics.add(AWS_USER_REQUESTS.row(service, result))

    if service == "dynamodb":
        of_table = DynamoDbOptions(users_table=aws.table, **given)
        return UsersTable(of_table, count), of_table
    of_secrets = SecretsManagerOptions(prefix=aws.prefix, **given)
    return UserSecrets(of_secrets, count), of_secrets


@asynccontextmanager
async def users_of(
    aws: Aws, service: str, url: str, metrics: Metrics | None = None, **options: Any
) -> AsyncIterator[AwsUsers]:
    counted = metrics or Metrics()
    records, given = records_of(aws, service, url, counted, **options)
    async with AsyncExitStack() as ending:
        configured = ConfiguredUsers({}, AuthOptions())
        ending.callback(configured.close)
        users = AwsUsers(records, given, UserHomes("exchange"), configured.verifier, counted)
        ending.push_async_callback(users.close)
        await users.start()
        yield users


def count(metrics: Metrics, service: str, result: str) -> int:
    return metrics.table.total(AWS_USER_REQUESTS.row(service, result))


# ── right ─────────────────────────────────────────────────────────────────────────────────────────────


@EITHER
@pytest.mark.parametrize("record", [AWS_FORM, OWN_FORM_ALL], ids=["AWS's form", "own form"])
async def test_a_user_logs_in_by_password_and_by_key(
    aws: Aws, relay: Relay, service: str, record: dict[str, Any]
) -> None:
    put(aws, service, "bob", record)
    async with users_of(aws, service, relay.url) as users:
        assert await users.by_password("bob", PASSWORD, ADDRESS) == BOB
        assert await users.by_password("bob", "wrong", ADDRESS) is None
        assert await users.by_password("bob", "", ADDRESS) is None
        assert await users.by_password("eve", PASSWORD, ADDRESS) is None
        assert await users.by_public_key("bob", KEY, ADDRESS) == BOB
        assert await users.by_public_key("bob", OTHER_KEY, ADDRESS) is None
        assert await users.by_public_key("eve", KEY, ADDRESS) is None


async def test_dynamodb_is_read_consistently_by_the_key_alone(aws: Aws, relay: Relay) -> None:
    async with users_of(aws, "dynamodb", relay.url) as users:
        assert await users.source_of("bob") is None
    assert relay.asked == [
        {"TableName": aws.table, "Key": {"user": {"S": "bob"}}, "ConsistentRead": True},
    ]


async def test_a_secret_is_asked_for_by_prefix_and_name(aws: Aws, relay: Relay) -> None:
    async with users_of(aws, "secrets_manager", relay.url) as users:
        assert await users.source_of("bob") is None
    assert relay.asked == [{"SecretId": f"{aws.prefix}bob"}]


async def test_a_secret_may_be_binary(aws: Aws, relay: Relay) -> None:
    aws.put_secret("bob", b'{"prefix": "bob/", "authorized_keys": "%s"}' % LINE.encode())
    async with users_of(aws, "secrets_manager", relay.url) as users:
        assert await users.by_public_key("bob", KEY, ADDRESS) == BOB


async def test_a_table_may_call_its_key_otherwise(moto: Store, aws: Aws, relay: Relay) -> None:
    other = Aws(moto)
    other.make_table("login")
    other.put_item("bob", "login", **OWN_FORM_ALL)
    async with users_of(other, "dynamodb", relay.url, key_attribute="login") as users:
        assert await users.by_password("bob", PASSWORD, ADDRESS) == BOB


@EITHER
async def test_codes_are_verified_as_those_of_configured_users(aws: Aws, relay: Relay, service: str) -> None:
    secret = pyotp.random_base32()
    put(aws, service, "bob", OWN_FORM_ALL | {"totp_secret": secret})
    async with users_of(aws, service, relay.url) as users:
        found = await users.by_password("bob", PASSWORD, ADDRESS)
        assert found is not None
        assert found.login_methods.use("totp")
        code = pyotp.TOTP(secret).now()
        assert await users.by_code("bob", code, ADDRESS) is not None
        assert await users.by_code("bob", code, ADDRESS) is None  # used
        assert await users.by_code("eve", code, ADDRESS) is None


# ── who is asked for ──────────────────────────────────────────────────────────────────────────────────


@EITHER
@pytest.mark.parametrize("name", ["", "../etc", "a/b", "x" * 101, "bob\n", "a b", "bö", PROBE_USER])
async def test_a_name_that_no_user_can_have_is_refused_without_a_request(
    aws: Aws, relay: Relay, service: str, name: str
) -> None:
    async with users_of(aws, service, relay.url) as users:
        assert await users.by_password(name, "secret", ADDRESS) is None
        assert await users.by_public_key(name, KEY, ADDRESS) is None
        assert await users.source_of(name) is None
    assert relay.asked == []


@EITHER
async def test_a_login_in_a_chain_asks_once(aws: Aws, relay: Relay, service: str) -> None:
    put(aws, service, "bob", AWS_FORM)
    async with users_of(aws, service, relay.url) as users:
        found = await users.source_of("bob")
        assert found is not None
        assert await found.by_password("bob", PASSWORD, ADDRESS) == BOB
    assert len(relay.asked) == 1


@EITHER
async def test_a_user_without_a_role_is_refused_and_still_no_other_source_s(
    aws: Aws, relay: Relay, service: str
) -> None:
    put(aws, service, "bob", AWS_FORM | {"Role": ""})
    async with users_of(aws, service, relay.url) as users:
        found = await users.source_of("bob")
        assert found is not None
        assert await found.by_password("bob", PASSWORD, ADDRESS) is None


# ── constant work ─────────────────────────────────────────────────────────────────────────────────────


@EITHER
async def test_every_login_by_password_verifies_one_hash(
    aws: Aws, relay: Relay, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(aws, service, "bob", AWS_FORM)
    put(aws, service, "carol", OWN_FORM | {"prefix": "carol/"})
    verified: list[str] = []

    def fits(password_hash: str, password: bytes) -> bool:
        verified.append(password_hash)
        return False

    monkeypatch.setattr("s3sftp.auth.passwords._fits", fits)
    async with users_of(aws, service, relay.url) as users:
        for number, name in enumerate(("bob", "carol", "nobody", "a/b"), 1):
            await users.by_password(name, "wrong", ADDRESS)
            assert len(verified) == number, name
    assert verified[1] == OWN_FORM["password_hash"]


@EITHER
async def test_a_user_of_the_service_with_several_factors_has_its_origin(
    aws: Aws, relay: Relay, service: str
) -> None:
    put(aws, service, "bob", OWN_FORM_ALL | {"methods": ["publickey+password"]})
    async with users_of(aws, service, relay.url) as users:
        first = await users.by_public_key("bob", KEY, ADDRESS)
        again = await users.by_password("bob", PASSWORD, ADDRESS)
    assert first is not None
    assert again is not None
    assert first.origin == again.origin
    assert first.origin.startswith(service)


# ── wrong records ─────────────────────────────────────────────────────────────────────────────────────


@EITHER
async def test_a_record_that_cannot_be_used_lets_nobody_in_and_the_log_says_why(
    aws: Aws, relay: Relay, service: str
) -> None:
    put(aws, service, "bob", OWN_FORM | {"prefx": "bob/"})
    async with users_of(aws, service, relay.url, max_failures=1) as users:
        with capture_events() as events, pytest.raises(UsersUnavailable):
            await users.by_password("bob", PASSWORD, ADDRESS)
        assert await users.by_password("nobody", PASSWORD, ADDRESS) is None  # the service is not down
    (event,) = events
    assert (event["event"], event["service"], event["user"]) == ("aws_users.record_unusable", service, "bob")
    assert "prefx" in event["problem"]
    assert "did you mean 'prefix'?" in event["problem"]
    assert OWN_FORM["password_hash"] not in str(events)


@pytest.mark.parametrize("content", ["", "[]", "not json", '{"a"', '"text"'])
async def test_a_secret_that_is_no_object_of_json_is_not_shown(aws: Aws, relay: Relay, content: str) -> None:
    aws.put_secret("bob", content or b"\x00secret")
    async with users_of(aws, "secrets_manager", relay.url) as users:
        with capture_events() as events, pytest.raises(UsersUnavailable):
            await users.by_password("bob", PASSWORD, ADDRESS)
    assert "should be a JSON object" in events[0]["problem"]


async def test_a_secret_that_is_being_deleted_lets_nobody_in(aws: Aws, relay: Relay) -> None:
    put(aws, "secrets_manager", "bob", AWS_FORM)
    aws.delete_secret("bob")
    async with users_of(aws, "secrets_manager", relay.url, max_failures=1) as users:
        with pytest.raises(UsersUnavailable):
            await users.by_password("bob", PASSWORD, ADDRESS)
        assert await users.by_password("nobody", PASSWORD, ADDRESS) is None


async def test_a_binary_attribute_is_named(aws: Aws, relay: Relay) -> None:
    aws.put_item("bob", prefix=b"secret")
    async with users_of(aws, "dynamodb", relay.url) as users:
        with capture_events() as events, pytest.raises(UsersUnavailable):
            await users.by_password("bob", PASSWORD, ADDRESS)
    assert events[0]["problem"] == "prefix: is binary (type B), and should be a string"


@EITHER
async def test_a_key_that_cannot_be_used_is_logged_and_the_others_open(
    aws: Aws, relay: Relay, service: str
) -> None:
    put(aws, service, "bob", OWN_FORM_ALL | {"authorized_keys": ["ssh-ed25519 AAAA", LINE]})
    async with users_of(aws, service, relay.url) as users:
        with capture_events() as events:
            assert await users.by_public_key("bob", KEY, ADDRESS) == BOB
    assert [event["event"] for event in events] == ["aws_users.key_unusable"]


# ── failures ──────────────────────────────────────────────────────────────────────────────────────────

THROTTLED = {"dynamodb": "ProvisionedThroughputExceededException", "secrets_manager": "ThrottlingException"}


@EITHER
async def test_a_throttled_request_is_repeated(aws: Aws, relay: Relay, service: str) -> None:
    put(aws, service, "bob", AWS_FORM)
    metrics = Metrics()
    relay.fault = errs(THROTTLED[service], times=2)
    async with users_of(aws, service, relay.url, metrics, retries=2) as users:
        assert await users.by_password("bob", PASSWORD, ADDRESS) == BOB
    assert (count(metrics, service, "throttled"), count(metrics, service, "answered")) == (2, 1)


@EITHER
async def test_throttling_refuses_a_login_and_is_no_reason_to_refuse_others(
    aws: Aws, relay: Relay, service: str
) -> None:
    put(aws, service, "bob", AWS_FORM)
    relay.fault = errs(THROTTLED[service], times=3)
    async with users_of(aws, service, relay.url, max_failures=1, retries=0) as users:
        with capture_events() as events:
            for _ in range(3):
                with pytest.raises(UsersUnavailable):
                    await users.by_password("bob", PASSWORD, ADDRESS)
        assert await users.by_password("bob", PASSWORD, ADDRESS) == BOB
    assert [event["event"] for event in events] == ["aws_users.request_failed"]  # the others are suppressed


@EITHER
@pytest.mark.parametrize("fault", [breaks_off, errs("InternalServerError", 500)], ids=["breaks off", "500"])
async def test_a_service_that_is_down_is_not_asked_until_it_answers_again(
    aws: Aws, relay: Relay, service: str, fault: Any
) -> None:
    put(aws, service, "bob", AWS_FORM)
    metrics = Metrics()
    relay.fault = fault
    async with users_of(aws, service, relay.url, metrics, max_failures=2, probe_interval=0.2) as users:
        with capture_events() as events:
            for _ in range(2):
                with pytest.raises(UsersUnavailable):
                    await users.by_password("bob", PASSWORD, ADDRESS)
            await until_down(metrics, service)
            with pytest.raises(UsersUnavailable, match="is down"):
                await users.by_password("bob", PASSWORD, ADDRESS)
            assert metrics.table.total(AWS_USERS_DOWN.row(service)) == 1
            relay.fault = None
            async with asyncio.timeout(20):
                while metrics.table.total(AWS_USERS_DOWN.row(service)):
                    await asyncio.sleep(0.05)
            assert await users.by_password("bob", PASSWORD, ADDRESS) == BOB
    names = [event["event"] for event in events]
    assert names == ["aws_users.request_failed", "aws_users.down", "aws_users.up"]


async def until_down(metrics: Metrics, service: str) -> None:
    async with asyncio.timeout(30):
        while not metrics.table.total(AWS_USERS_DOWN.row(service)):
            await asyncio.sleep(0.05)


@EITHER
async def test_a_service_is_up_again_although_its_answer_to_the_probe_cannot_be_used(
    aws: Aws, relay: Relay, service: str
) -> None:
    put(aws, service, "bob", AWS_FORM)
    if service == "dynamodb":
        aws.put_item(PROBE_USER, Password=b"binary")
    else:
        aws.put_secret(PROBE_USER, "no JSON")
    relay.fault = breaks_off
    async with users_of(aws, service, relay.url, max_failures=1, probe_interval=0.1) as users:
        with pytest.raises(UsersUnavailable):
            await users.by_password("bob", PASSWORD, ADDRESS)
        relay.fault = None
        assert await _answer_within(6, users) == BOB


async def _answer_within(seconds: float, users: AwsUsers) -> Identity | None:
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await users.by_password("bob", PASSWORD, ADDRESS)
            except UsersUnavailable:
                await asyncio.sleep(0.05)


@EITHER
async def test_a_slow_service_refuses_within_the_limit_of_time(aws: Aws, relay: Relay, service: str) -> None:
    metrics = Metrics()
    relay.fault = hangs
    async with users_of(aws, service, relay.url, metrics, timeout=0.5, retries=9) as users:
        with capture_events() as events, pytest.raises(UsersUnavailable):
            async with asyncio.timeout(15):
                await users.by_password("bob", PASSWORD, ADDRESS)
    assert events[0]["problem"] == "no answer within 0.5 s"
    assert count(metrics, service, "timed_out") == 1


@EITHER
async def test_an_answer_that_is_not_the_service_s_lets_nobody_in(
    aws: Aws, relay: Relay, service: str
) -> None:
    relay.fault = babbles
    async with users_of(aws, service, relay.url) as users:
        with pytest.raises(UsersUnavailable):
            await users.by_password("bob", PASSWORD, ADDRESS)


@EITHER
async def test_a_denial_names_the_permission(aws: Aws, relay: Relay, service: str) -> None:
    relay.fault = errs("AccessDeniedException", message="User is not authorized")
    async with users_of(aws, service, relay.url) as users:
        with capture_events() as events, pytest.raises(UsersUnavailable):
            await users.by_password("bob", PASSWORD, ADDRESS)
    needed = {"dynamodb": "dynamodb:GetItem", "secrets_manager": "secretsmanager:GetSecretValue"}
    assert f"needs the permission {needed[service]}" in events[0]["problem"]


async def test_denied_names_do_not_make_secrets_manager_count_as_down(aws: Aws, relay: Relay) -> None:
    """A policy that lists the secrets denies every unknown name."""
    put(aws, "secrets_manager", "bob", AWS_FORM)
    relay.fault = errs("AccessDeniedException", times=3)
    async with users_of(aws, "secrets_manager", relay.url, max_failures=1) as users:
        for _ in range(3):
            with pytest.raises(UsersUnavailable):
                await users.by_password("nobody", PASSWORD, ADDRESS)
        assert await users.by_password("bob", PASSWORD, ADDRESS) == BOB


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "ValidationException"])
async def test_a_missing_table_or_another_key_is_down_for_everybody(
    moto: Store, aws: Aws, relay: Relay, code: str
) -> None:
    other = Aws(moto)  # without a table
    if code == "ValidationException":
        other.make_table("login")
    metrics = Metrics()
    async with users_of(other, "dynamodb", relay.url, metrics, max_failures=1) as users:
        with capture_events() as events:
            with pytest.raises(UsersUnavailable):
                await users.by_password("bob", PASSWORD, ADDRESS)
            await until_down(metrics, "dynamodb")
    down = next(event for event in events if event["event"] == "aws_users.down")
    assert code in down["reason"]
    assert down["place"] == f"table {other.table} at {relay.url}"


@EITHER
async def test_credentials_that_the_service_refuses_are_asked_for_again(
    aws: Aws, relay: Relay, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(aws, service, "bob", AWS_FORM)
    async with users_of(aws, service, relay.url, retries=1) as users:
        assert await users.by_password("bob", PASSWORD, ADDRESS) == BOB
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAROTATED000000001")
        relay.fault = errs("UnrecognizedClientException", times=1)
        assert await users.by_password("bob", PASSWORD, ADDRESS) == BOB


async def test_without_credentials_the_log_says_so(
    aws: Aws, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    async with users_of(aws, "dynamodb", relay.url) as users:
        with capture_events() as events, pytest.raises(UsersUnavailable):
            await users.by_password("bob", PASSWORD, ADDRESS)
    assert any("credentials" in event.get("problem", "") for event in events)
    assert relay.asked == []


@EITHER
async def test_a_failure_is_no_failure_of_the_client(aws: Aws, relay: Relay, service: str) -> None:
    relay.fault = errs("AccessDeniedException")
    async with users_of(aws, service, relay.url) as users:
        gateway = AuthGateway(users, AuthOptions(refusal_time=timedelta(0)))
        answer = await gateway.password("bob", "secret", ADDRESS)
    assert (answer.identity, answer.broken) == (None, True)


# ── remembering ───────────────────────────────────────────────────────────────────────────────────────


@EITHER
async def test_by_default_every_login_asks_and_with_a_cache_only_the_first(
    aws: Aws, relay: Relay, service: str
) -> None:
    put(aws, service, "bob", AWS_FORM)
    for cache_time, requests in ((0.0, 3), (60.0, 1)):
        relay.asked.clear()
        async with users_of(aws, service, relay.url, cache_time=cache_time) as users:
            assert await users.by_password("bob", PASSWORD, ADDRESS) == BOB
            assert await users.by_password("bob", "wrong", ADDRESS) is None
            assert await users.by_public_key("bob", KEY, "198.51.100.1") == BOB
        assert len(relay.asked) == requests


@EITHER
async def test_unknown_users_are_not_remembered(aws: Aws, relay: Relay, service: str) -> None:
    async with users_of(aws, service, relay.url, cache_time=60.0) as users:
        assert await users.by_password("bob", PASSWORD, ADDRESS) is None
        put(aws, service, "bob", AWS_FORM)
        assert await users.by_password("bob", PASSWORD, ADDRESS) == BOB


# ── options ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("url", ["http://dynamodb.example.com", "ftp://127.0.0.1", "x", "https://a:b@c"])
def test_an_address_that_credentials_must_not_come_from_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="should"):
        DynamoDbOptions(users_table="users", endpoint_url=url)


async def test_an_address_of_the_environment_is_refused_as_one_of_the_options(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, _ = records_of(aws, "secrets_manager", "http://127.0.0.1:1", Metrics(), endpoint_url=None)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://secrets.example.com")
    with pytest.raises(ConfigurationError, match="AWS_ENDPOINT_URL_SECRETS_MANAGER names http://secrets"):
        await records.start()


@EITHER
async def test_a_missing_region_and_profile_are_named(
    aws: Aws, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    records, _ = records_of(aws, service, "http://127.0.0.1:1", Metrics(), region=None)
    with pytest.raises(ConfigurationError, match=f"{service}.region is missing"):
        await records.start()
    records, _ = records_of(aws, service, "http://127.0.0.1:1", Metrics(), profile="no-such-profile")
    with pytest.raises(ConfigurationError, match="no-such-profile"):
        await records.start()


@pytest.mark.parametrize(("service", "host"), [(SERVICES[0], "dynamodb"), (SERVICES[1], "secretsmanager")])
async def test_without_an_address_the_services_are_those_of_the_region(
    aws: Aws, service: str, host: str
) -> None:
    records, _ = records_of(aws, service, "http://127.0.0.1:1", Metrics(), endpoint_url=None)
    await records.start()
    assert records.place.endswith(f" at https://{host}.{REGION}.amazonaws.com")
    await records.close()

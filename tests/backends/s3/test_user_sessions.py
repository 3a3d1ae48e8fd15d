"""The store itself keeps a user inside the mounts: SeaweedFS and its STS enforce the session policies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import aiobotocore.session
import pytest
from botocore.credentials import ReadOnlyCredentials

from s3sftp.auth import Identity
from s3sftp.backends import FileInfo, Grant, Place, Session, WriteIntent
from s3sftp.backends.s3 import S3Options
from s3sftp.backends.s3.credentials import assumed_role
from s3sftp.backends.s3.credentials.assumed_role import AssumableRole, AssumedCredentials, RoleCredentials
from s3sftp.backends.s3.credentials.errors import CredentialSourceFailed
from s3sftp.backends.s3.credentials.user_scope import UserScope, current_scope, in_scope
from s3sftp.backends.s3.keys import KeyMapping
from s3sftp.backends.s3.session_policy import MAX_POLICY_CHARACTERS, session_name, session_policy
from s3sftp.backends.s3.user_sessions import UserSessionsBackend
from s3sftp.errors import NotFound, PermissionDenied, StorageError
from s3sftp.fs import AccessRules, Mount, rights_of
from s3sftp.testing import Outside, Subject
from testbed.s3_store import Store
from tests.backends.storages import s3_options
from tests.backends.test_promises import S3Promises
from tests.support.client_workspace import content
from tests.support.clients import Clients
from tests.support.logs import capture_events
from tests.support.s3_client import S3, s3_client
from tests.support.seaweed_roles import ROLE, running_seaweed_with_roles
from tests.support.server import Server

ACME = Place((b"acme",))
GRANTS = (Grant(ACME, stores=True, removes=True),)
ME = Session("acme", grants=GRANTS)


@pytest.fixture(scope="module")
def roles() -> Iterator[Store]:
    with running_seaweed_with_roles() as store:
        yield store


def with_role(options: S3Options, sts: str | None, **more: object) -> S3Options:
    changed = {"role_arn": ROLE, "session_policies": True, "sts_endpoint_url": sts, **more}
    return S3Options.model_validate(options.model_dump() | changed)


@asynccontextmanager
async def on_roles(store: Store, **more: object) -> AsyncIterator[tuple[UserSessionsBackend, S3]]:
    """A backend on a fresh bucket, and what is really there."""
    with store.space() as space:
        options = with_role(s3_options(store, space, 0), store.endpoint_url, **more)
        async with s3_client(store, space.bucket) as s3:
            backend = UserSessionsBackend(options, None)
            await backend.start()
            try:
                yield backend, s3
            finally:
                await backend.stop()


EVERYTHING = (Grant(Place(), stores=True, removes=True),)
"""Below the prefix of the storage."""


class TestEachPromiseWithinASessionPolicy(S3Promises):
    """All that the contract promises works with the credentials of the user alone."""

    sequences = 1
    exempt = {  # noqa: RUF012
        f"test_no_session_is_too_odd[of {name}]": "a session without grants is refused"
        for name in ("an odd name", "a long name")
    }
    session = Session("alice", attributes={"tenant": "one"}, grants=EVERYTHING)
    other_session = Session("bob", "192.0.2.7:4022", "OpenSSH_9.9", "s-2", {"tenant": "one"}, EVERYTHING)

    @pytest.fixture(autouse=True)
    def _store(self, roles: Store) -> None:
        self.store = roles

    @asynccontextmanager
    async def open_storage(self) -> AsyncIterator[Subject]:
        with self.store.space() as space:
            options = with_role(s3_options(self.store, space, 0.5), self.store.endpoint_url)
            keys = KeyMapping(options.prefix)
            async with s3_client(self.store, space.bucket) as s3:

                async def unfinished() -> int:
                    return len(await s3.multipart_uploads(options.prefix))

                outside = Outside(
                    lambda place, data: s3.put(keys.key_of(place), data),
                    lambda place: s3.delete(keys.key_of(place)),
                    seen_after=0.5,
                )
                yield Subject(UserSessionsBackend(options, None), outside, unfinished)


# ── the border ──────────────────────────────────────────────────────────────────────────────────────


async def _listed(backend: UserSessionsBackend, place: Place, session: Session) -> list[bytes]:
    return [entry.name async for page in backend.list_dir(place, session) for entry in page]


async def _read(backend: UserSessionsBackend, place: Place, session: Session) -> bytes:
    return b"".join([bytes(p) async for p in backend.read_file_range(place, 0, 6, None, session)])


async def _written(backend: UserSessionsBackend, place: Place, session: Session) -> FileInfo:
    return await backend.write_file(place, b"mine", session)


async def _streamed(backend: UserSessionsBackend, place: Place, session: Session) -> None:
    upload = await backend.begin_write(place, WriteIntent(), session)
    try:
        await backend.write_chunk(upload, bytes(upload.chunk_bytes), session)
    finally:
        await backend.abort_write(upload, session)


Attempt = Callable[[UserSessionsBackend, Place, Session], Awaitable[Any]]
INSIDE = ACME.child(b"f")
ATTEMPTS: dict[str, Attempt] = {
    "look": lambda b, p, s: b.file_info(p, s),
    "list": lambda b, p, s: _listed(b, p.parent, s),
    "read": _read,
    "open": lambda b, p, s: b.open_file(p, 6, s),
    "write": _written,
    "write parts": _streamed,
    "make a directory": lambda b, p, s: b.make_dir(p.parent.child(b"d"), s),
    "remove": lambda b, p, s: b.delete(p, s),
    "copy from there": lambda b, p, s: b.copy(p, ACME.child(b"stolen"), s, version=None),
    "copy to there": lambda b, p, s: b.copy(INSIDE, p, s, version=None),
    "move from there": lambda b, p, s: b.rename(p, ACME.child(b"stolen"), s, overwrite=True),
    "move to there": lambda b, p, s: b.rename(INSIDE, p, s, overwrite=True),
}


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
@pytest.mark.parametrize("there", [b"other", b"acme2", b"ac"])
async def test_whatever_the_server_asks_for_the_store_refuses_what_is_outside_of_the_mounts(
    roles: Store, attempt: Attempt, there: bytes
) -> None:
    """These places are no user's path: no `Mounts` would make them for this session."""
    async with on_roles(roles) as (backend, s3):
        top = backend.options.prefix
        outside = Place((there, b"secret"))
        await s3.put(f"{top}{there.decode()}/secret", b"secret")
        await s3.put(f"{top}acme/f", b"inside")
        assert await _read(backend, INSIDE, ME) == b"inside"
        with pytest.raises(PermissionDenied):
            await attempt(backend, outside, ME)
        assert await s3.body(f"{top}{there.decode()}/secret") == b"secret"
        assert await s3.body(f"{top}acme/f") == b"inside"
        assert len([key for key in await s3.keys(top) if not key.endswith("/")]) == 2


async def test_a_mount_without_rights_to_store_or_remove_is_read_only_to_the_store(roles: Store) -> None:
    async with on_roles(roles) as (backend, s3):
        await s3.put(f"{backend.options.prefix}acme/f", b"inside")
        reader = Session("acme", grants=(Grant(ACME),))
        assert await _read(backend, INSIDE, reader) == b"inside"
        assert await _listed(backend, ACME, reader) == [b"f"]
        for attempt in ("write", "write parts", "make a directory", "remove"):
            with pytest.raises(PermissionDenied):
                await ATTEMPTS[attempt](backend, INSIDE, reader)
        remover = Session("acme", grants=(Grant(ACME, removes=True),))
        with pytest.raises(PermissionDenied):
            await _written(backend, INSIDE, remover)
        await backend.delete(INSIDE, remover)
        with pytest.raises(NotFound):
            await backend.file_info(INSIDE, remover)


async def test_a_single_file_that_is_mounted_is_all_that_is_reached(roles: Store) -> None:
    async with on_roles(roles) as (backend, s3):
        for name in ("f", "f2", "f/x"):
            await s3.put(f"{backend.options.prefix}{name}", b"inside")
        one = Session("acme", grants=(Grant(Place((b"f",)), file=True),))
        assert await _read(backend, Place((b"f",)), one) == b"inside"
        for other in (Place((b"f2",)), Place((b"f", b"x"))):
            with pytest.raises(PermissionDenied):
                await _read(backend, other, one)


async def test_a_session_without_grants_is_refused_and_the_servers_own_is_not(roles: Store) -> None:
    async with on_roles(roles) as (backend, _):
        for grants in (None, (), (Grant(Place((b"acme",), "archive")),)):
            with pytest.raises(PermissionDenied):
                await backend.file_info(INSIDE, Session("acme", grants=grants))
        assert await _listed(backend, Place(), Session("")) == []
        await backend.probe()


async def test_a_file_that_is_closed_before_its_first_byte_came_frees_its_connection(roles: Store) -> None:
    async with on_roles(roles, max_connections=2) as (backend, s3):
        await s3.put(f"{backend.options.prefix}acme/f", b"inside")
        _, beginning = await backend.open_file(INSIDE, 6, ME)
        assert beginning is not None
        assert not backend.client.downloads.has_slot
        async with aclosing(cast(Any, beginning)):
            pass
        assert backend.client.downloads.has_slot


async def test_the_journal_in_the_bucket_is_out_of_the_users_reach_and_works(roles: Store) -> None:
    async with on_roles(roles, journal="bucket") as (backend, s3):
        top = backend.options.prefix
        upload = await backend.begin_write(INSIDE, WriteIntent(), ME)
        await backend.write_chunk(upload, bytes(upload.chunk_bytes), ME)
        claims = [key for key in await s3.keys(f"{top}.s3sftp/") if key.endswith(".json")]
        assert claims
        with pytest.raises(StorageError):
            await ATTEMPTS["list"](backend, Place((b".s3sftp", b"x")), ME)
        await backend.abort_write(upload, ME)
        assert [key for key in await s3.keys(f"{top}.s3sftp/") if key in claims] == []


# ── credentials ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_user_s_role_is_assumed_once_and_other_users_have_their_own(
    roles: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assumed: list[str] = []
    assume = AssumableRole.assume

    async def counted(self: AssumableRole, scope: UserScope | None) -> AssumedCredentials:
        assumed.append("" if scope is None else scope.session_name)
        return await assume(self, scope)

    monkeypatch.setattr(AssumableRole, "assume", counted)
    async with on_roles(roles) as (backend, _):
        sessions = [
            Session(name, grants=(Grant(Place((name.encode(),)), stores=True),)) for name in ("a", "b")
        ]
        await asyncio.gather(
            *(
                backend.write_file(Place((session.user.encode(), b"%d" % at)), b"x", session)
                for session in sessions
                for at in range(5)
            )
        )
        for session in sessions:
            assert len(await _listed(backend, Place((session.user.encode(),)), session)) == 5
    assert sorted(assumed) == ["s3sftp-a", "s3sftp-b"]


async def test_a_role_that_sts_refuses_is_named_in_the_log_and_not_to_the_client(roles: Store) -> None:
    other = "arn:aws:iam::123456789012:role/not-there"
    with capture_events() as events:
        async with on_roles(roles, role_arn=other) as (backend, _):
            with pytest.raises(StorageError) as caught:
                await backend.file_info(INSIDE, ME)
    assert "role" not in str(caught.value)
    (failed,) = [event for event in events if event["event"] == "credentials.failed"]
    assert other in failed["detail"]
    assert "s3sftp-acme" in failed["detail"]
    assert "AssumeRole was refused" in failed["detail"]


async def test_the_user_s_name_is_in_the_session_at_moto(moto: Store) -> None:
    with moto.space() as space:
        options = with_role(s3_options(moto, space, 0), moto.endpoint_url)
    session = aiobotocore.session.get_session()
    session.set_credentials(moto.access_key, moto.secret_key)
    role = AssumableRole(options, session)
    policy = session_policy(GRANTS, options, KeyMapping(options.prefix))
    found = await role.assume(UserScope(session_name("acme"), policy))
    keys = await found.get_frozen_credentials()
    await role.close()
    assert not found.refresh_needed(3000)
    who = aiobotocore.session.get_session()
    who.set_credentials(*keys)
    async with who.create_client("sts", region_name="us-east-1", endpoint_url=moto.endpoint_url) as sts:
        identity = await sts.get_caller_identity()
    assert identity["Arn"].endswith(":assumed-role/sftp/s3sftp-acme")


class CountingRole(AssumableRole):
    """Gives keys that expire when the test says."""

    def __init__(self) -> None:
        self.given = 0
        self.lifetime = timedelta(hours=1)

    async def assume(self, scope: UserScope | None) -> AssumedCredentials:
        self.given += 1
        keys = ReadOnlyCredentials(f"AK{self.given}", "secret", "token")
        return AssumedCredentials(keys, datetime.now(UTC) + self.lifetime)

    def name_of(self, scope: UserScope | None) -> str:
        return "a role"

    async def close(self) -> None:
        pass


async def test_keys_are_requested_again_before_they_expire_and_never_used_after() -> None:
    role = CountingRole()
    credentials = RoleCredentials(role, None, 5.0)
    assert (await credentials.get_frozen_credentials()).access_key == "AK1"
    assert (await credentials.get_frozen_credentials()).access_key == "AK1"
    role.lifetime = timedelta(seconds=-1)
    with in_scope(UserScope("s3sftp-a", "{}")):
        with pytest.raises(CredentialSourceFailed):
            await credentials.get_frozen_credentials()
    role.lifetime = timedelta(seconds=100)
    with in_scope(UserScope("s3sftp-b", "{}")):
        first = await credentials.get_frozen_credentials()
        session = credentials._current()
        session._not_before = 0.0
        role.lifetime = timedelta(hours=1)
        assert (await credentials.get_frozen_credentials()).access_key == first.access_key, "still valid"
        await asyncio.sleep(0.01)
        assert (await credentials.get_frozen_credentials()).access_key != first.access_key
    await credentials.close()


async def test_the_credentials_of_a_bounded_number_of_users_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assumed_role, "MOST_SCOPES", 3)
    role = CountingRole()
    credentials = RoleCredentials(role, None, 5.0)
    for number in range(10):
        with in_scope(UserScope(f"s3sftp-{number}", "{}")):
            await credentials.get_frozen_credentials()
    assert len(credentials._sessions) == 3
    with in_scope(UserScope("s3sftp-9", "{}")):
        await credentials.get_frozen_credentials()
    assert role.given == 10
    await credentials.close()


async def test_a_scope_ends_with_its_block_and_tasks_inherit_it() -> None:
    async def seen() -> UserScope | None:
        await asyncio.sleep(0)
        return current_scope()

    scope = UserScope("s3sftp-a", "{}")
    with in_scope(scope):
        task = asyncio.create_task(seen())
        with in_scope(None):
            assert current_scope() is None
    assert current_scope() is None
    assert await task == scope


# ── policies ────────────────────────────────────────────────────────────────────────────────────────


def policy_of(*mounts: Mount, rights: str = "read-write", **options: object) -> list[dict[str, Any]]:
    identity = Identity("acme", None, mounts=mounts, rules=AccessRules(rights_of(rights)))
    given = S3Options.model_validate({"bucket": "b", "prefix": "top/", "role_arn": ROLE, **options})
    text = session_policy(identity.tree().grants(), given, KeyMapping(given.prefix))
    assert len(text) <= MAX_POLICY_CHARACTERS
    statements: list[dict[str, Any]] = json.loads(text)["Statement"]
    return statements


def actions_on(statements: list[dict[str, Any]], resource: str) -> set[str]:
    return {action for each in statements if resource in each["Resource"] for action in each["Action"]}


@pytest.mark.parametrize(
    ("rights", "stores", "removes"),
    [
        ("read-only", False, False),
        ("pick-up", False, True),
        ("drop-box", True, True),
        ("read-write", True, True),
    ],
)
def test_a_policy_allows_what_the_rights_of_a_mount_need(rights: str, stores: bool, removes: bool) -> None:
    allowed = actions_on(policy_of(Mount("/in", "acme/in/"), rights=rights), "arn:aws:s3:::b/top/acme/in/*")
    assert "s3:GetObject" in allowed
    assert ("s3:PutObject" in allowed, "s3:DeleteObject" in allowed) == (stores, removes)


def test_rights_of_a_path_below_count_and_those_of_another_mount_do_not() -> None:
    rules = AccessRules(rights_of("read-only"))
    mounts = (
        Mount("/in", "acme/in/", rules=rules),
        Mount("/in/up", "up/", rules=AccessRules(rights_of("read-write"))),
    )
    identity = Identity("acme", None, mounts=mounts)
    assert [(each.place.key, each.stores) for each in identity.tree().grants()] == [
        (b"acme/in", False),
        (b"up", True),
    ]
    paths = (("/in/work", AccessRules(rights_of("drop-box"))),)
    identity = Identity("acme", None, mounts=mounts[:1], paths=paths)
    assert [each.stores for each in identity.tree().grants()] == [True]


def test_no_name_of_a_prefix_is_a_wildcard_or_a_variable() -> None:
    (statement, *_) = policy_of(Mount("/in", "a*b?${aws:username}/"))
    assert "arn:aws:s3:::b/top/a${*}b${?}${$}{aws:username}/*" in statement["Resource"]


def test_listings_are_allowed_below_the_mounts_alone() -> None:
    statements = policy_of(Mount("/in", "acme/in/"), Mount("/f", "one.csv", file=True))
    (listing,) = [each for each in statements if each["Action"] == ["s3:ListBucket"]]
    assert listing["Resource"] == ["arn:aws:s3:::b"]
    assert listing["Condition"] == {
        "StringLike": {"s3:prefix": ["top/acme/in/*", "top/one.csv", "top/one.csv/*"]}
    }


def test_access_points_and_other_partitions_have_arns_of_their_own() -> None:
    point = "arn:aws:s3:eu-west-1:123456789012:accesspoint/sftp"
    (first, *_) = policy_of(Mount("/in", "acme/"), bucket=point)
    assert f"{point}/object/top/acme/*" in first["Resource"]
    role = "arn:aws-cn:iam::123456789012:role/sftp"
    (first, *_) = policy_of(Mount("/in", "acme/"), role_arn=role)
    assert "arn:aws-cn:s3:::b/top/acme/*" in first["Resource"]


@pytest.mark.parametrize(
    ("user", "name"),
    [("acme", "s3sftp-acme"), ("a.b@c+d", "s3sftp-a.b@c+d"), ("x" * 57, f"s3sftp-{'x' * 57}")],
)
def test_a_session_s_name_contains_the_user(user: str, name: str) -> None:
    assert session_name(user) == name


def test_long_and_foreign_users_have_names_that_differ() -> None:
    names = [session_name(user) for user in ("x" * 90, "x" * 91, "ä", "ö", "-")]
    assert len(set(names)) == 5
    assert all(len(name) <= 64 and name.isascii() for name in names)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"session_policies": True}, "session_policies needs role_arn"),
        ({"external_id": "x"}, "external_id needs role_arn"),
        ({"sts_endpoint_url": "https://sts.example"}, "sts_endpoint_url needs role_arn"),
        ({"role_arn": "sftp"}, "should be the ARN of a role"),
        ({"role_arn": ROLE, "session_policies": True, "bucket": "b-s3alias"}, "instead of its alias"),
        ({"role_arn": ROLE, "session_policies": True, "bucket": "b--use1-az4--x-s3"}, "directory buckets"),
        ({"role_arn": ROLE, "sts_endpoint_url": "http://sts.example"}, "plain http"),
    ],
)
def test_options_that_cannot_be_are_named(options: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        S3Options.model_validate({"bucket": "b", **options})


# ── the whole server ────────────────────────────────────────────────────────────────────────────────


async def test_openssh_works_in_every_kind_of_mount_within_session_policies(
    roles: Store, tmp_path: Path
) -> None:
    with roles.space() as space, roles.space() as archive:
        role = {"role_arn": ROLE, "session_policies": True, "sts_endpoint_url": roles.endpoint_url}
        storage = {
            "bucket": archive.bucket,
            "endpoint_url": roles.endpoint_url,
            "addressing": "path",
            "access_key_id": roles.access_key,
            "secret_access_key": roles.secret_key,
            **role,
        }
        mounts: dict[str, dict[str, object]] = {
            "/work": {"prefix": "acme/work/"},
            "/drop": {"prefix": "acme/drop/", "rights": "drop-box"},
            "/pick": {"prefix": "acme/pick/", "rights": "pick-up"},
            "/archive": {"prefix": "acme/", "storage": "archive"},
        }
        options: dict[str, dict[str, object]] = {
            "s3": role,
            "storages.archive": storage,
            "users.alice": {"prefix": None},
            **{f'users.alice.mounts."{path}"': mount for path, mount in mounts.items()},
        }
        server = Server(tmp_path / "server", roles, space.bucket, options)
        try:
            await server.astart()
            clients = Clients(server, tmp_path / "home")
            large, small = tmp_path / "large", tmp_path / "small"
            large.write_bytes(content(12_000_000))
            small.write_bytes(b"small")
            async with s3_client(roles, space.bucket) as s3, s3_client(roles, archive.bucket) as other:
                await s3.put("acme/pick/f", b"picked")
                (
                    await clients.sftp(
                        "ls -l /",
                        "ls -l /work",
                        f"put -p {large} /work/large",
                        f"put -p {small} /work/small",
                        "mkdir /work/d",
                        "rename /work/large /work/d/large",
                        "cp /work/small /work/copy",
                        f"get /work/d/large {large}.back",
                        f"put {small} /drop/part",
                        "rename /drop/part /drop/whole",
                        f"get /pick/f {tmp_path}/picked",
                        "rm /pick/f",
                        "rename /work/copy /archive/moved",
                        "rename /work/d/large /archive/large",
                        "rmdir /work/d",
                        "ls -l /archive",
                    )
                ).ok()
                assert Path(f"{large}.back").read_bytes() == content(12_000_000)
                assert (tmp_path / "picked").read_bytes() == b"picked"
                files = [key for key in await s3.keys("acme/") if not key.endswith("/")]
                assert files == ["acme/drop/whole", "acme/work/small"]
                assert await other.body("acme/large") == content(12_000_000)
                assert await other.body("acme/moved") == b"small"
                assert "Permission denied" in (await clients.sftp("ls /drop")).failed().text
            assert "Traceback" not in server.output()
            assert server.events("credentials.failed") == []
        finally:
            server.close()


async def test_two_workers_of_one_bucket_serve_users_within_session_policies(
    roles: Store, tmp_path: Path
) -> None:
    with roles.space() as space:
        role = {"role_arn": ROLE, "session_policies": True, "sts_endpoint_url": roles.endpoint_url}
        server = Server(tmp_path / "server", roles, space.bucket, {"s3": role, "server": {"workers": 2}})
        try:
            await server.astart()
            clients = Clients(server, tmp_path / "home")
            file = tmp_path / "file"
            file.write_bytes(content(12_000_000))
            for number in range(4):
                (await clients.sftp(f"put {file} /f{number}", f"get /f{number} {file}.back", "ls -l /")).ok()
            assert Path(f"{file}.back").read_bytes() == content(12_000_000)
            async with s3_client(roles, space.bucket) as s3:
                assert await s3.keys("alice/") == [f"alice/f{number}" for number in range(4)]
            assert "Traceback" not in server.output()
        finally:
            server.close()

"""A mount is reached with its own role: SeaweedFS and its STS enforce what each role may do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from botocore.credentials import ReadOnlyCredentials

from s3sftp.auth import Identity
from s3sftp.backends import Grant, MountRole, Place, Session
from s3sftp.backends.borders import grant_at, is_across
from s3sftp.backends.mount_role import is_allowed_role
from s3sftp.backends.s3 import S3Backend, S3Options
from s3sftp.backends.s3.credentials.assumed_role import FixedCredentials, RoleCredentials
from s3sftp.backends.s3.credentials.user_scope import UserScope, in_scope
from s3sftp.backends.s3.keys import KeyMapping
from s3sftp.backends.s3.session_policy import user_scopes
from s3sftp.backends.s3.user_sessions import UserSessionsBackend
from s3sftp.errors import AlreadyExists, OtherStorage, PermissionDenied
from s3sftp.fs import Mount
from testbed.s3_store import Store
from tests.backends.s3.test_user_sessions import CountingRole
from tests.backends.storages import s3_options
from tests.support.client_workspace import content
from tests.support.clients import Clients
from tests.support.fault_proxy import FaultProxy
from tests.support.s3_client import S3, s3_client
from tests.support.seaweed_roles import ROLE, ROLE_OF_INBOX, ROLE_TO_READ, running_seaweed_with_roles
from tests.support.server import Server

WORK, INBOX, LOOK, PLAIN = (Place((b"acme", name)) for name in (b"work", b"inbox", b"look", b"plain"))
MOUNT_ROLES = ["arn:aws:iam::123456789012:role/partner-*", ROLE]
GRANTS = (
    Grant(WORK, stores=True, removes=True, role=MountRole(ROLE)),
    Grant(INBOX, stores=True, removes=True, role=MountRole(ROLE_OF_INBOX, "acme-7f3c")),
    Grant(LOOK, stores=True, removes=True, role=MountRole(ROLE_TO_READ)),
    Grant(PLAIN, stores=True, removes=True),
)
ME = Session("acme", grants=GRANTS)


@pytest.fixture(scope="module")
def roles() -> Iterator[Store]:
    with running_seaweed_with_roles() as store:
        yield store


@asynccontextmanager
async def bucket(store: Store, **more: object) -> AsyncIterator[tuple[UserSessionsBackend, S3, FaultProxy]]:
    """A backend without a role of its own on a fresh bucket, what is really there, and all requests."""
    async with FaultProxy(store.endpoint_url) as proxy:
        with store.space() as space:
            given = s3_options(store.behind(proxy.url), space, 0).model_dump()
            changed = {"mount_roles": MOUNT_ROLES, "sts_endpoint_url": proxy.url, **more}
            options = S3Options.model_validate(given | changed)
            async with s3_client(store, space.bucket) as s3:
                backend = UserSessionsBackend(options, None)
                await backend.start()
                try:
                    yield backend, s3, proxy
                finally:
                    await backend.stop()


def assumed(proxy: FaultProxy) -> list[dict[str, str]]:
    """What each AssumeRole asked for."""
    forms = [parse_qs(seen.body.decode()) for seen in proxy.log if b"Action=AssumeRole" in seen.body]
    return [{name: texts[0] for name, texts in form.items()} for form in forms]


# ── the border ──────────────────────────────────────────────────────────────────────────────────────


async def test_the_store_refuses_in_a_mount_what_its_role_may_not_do(roles: Store) -> None:
    async with bucket(roles) as (backend, s3, _):
        await s3.put(f"{backend.options.prefix}acme/look/f", b"look")
        assert bytes(await backend.read_file(LOOK.child(b"f"), ME)) == b"look"
        with pytest.raises(PermissionDenied):
            await backend.write_file(LOOK.child(b"f"), b"new", ME)
        with pytest.raises(PermissionDenied):
            await backend.delete(LOOK.child(b"f"), ME)
        for place in (WORK, INBOX, PLAIN):
            await backend.write_file(place.child(b"f"), b"new", ME)
        assert await s3.body(f"{backend.options.prefix}acme/look/f") == b"look"


async def test_a_mount_s_session_reaches_no_other_mount_even_with_a_role_that_could(roles: Store) -> None:
    """The role ROLE may do everything; its session policy is about the one mount."""
    async with bucket(roles) as (backend, s3, _):
        await s3.put(f"{backend.options.prefix}acme/plain/f", b"plain")
        scopes = user_scopes("acme", GRANTS, backend.options, backend._keys)
        for role in (MountRole(ROLE), MountRole(ROLE_TO_READ)):
            with in_scope(scopes[role]), pytest.raises(PermissionDenied):
                await backend.client.call("GetObject", Key=f"{backend.options.prefix}acme/plain/f")


async def test_each_mount_asks_sts_for_its_role_with_its_external_id_and_a_policy_of_its_prefix(
    roles: Store,
) -> None:
    async with bucket(roles) as (backend, _, proxy):
        for place in (WORK, INBOX, PLAIN, WORK, INBOX):
            await backend.write_file(place.child(b"f"), b"new", ME)
        await backend.probe()
        forms = assumed(proxy)
    assert [form["RoleArn"] for form in forms] == [ROLE, ROLE_OF_INBOX], "once each, none for its own"
    assert [form.get("ExternalId") for form in forms] == [None, "acme-7f3c"]
    assert {form["RoleSessionName"] for form in forms} == {"s3sftp-acme"}
    for form, own, others in ((forms[0], "work", ("inbox", "look", "plain")), (forms[1], "inbox", ("work",))):
        assert f"/acme/{own}/*" in form["Policy"]
        assert not any(f"/acme/{other}" in form["Policy"] for other in others)


async def test_a_mount_s_role_overrides_that_of_the_storage_and_its_external_id(roles: Store) -> None:
    own = {"role_arn": ROLE, "external_id": "of-the-storage", "session_policies": True}
    async with bucket(roles, **own) as (backend, _, proxy):
        await backend.write_file(PLAIN.child(b"f"), b"new", ME)
        await backend.write_file(INBOX.child(b"f"), b"new", ME)
        forms = assumed(proxy)
    assert [(form["RoleArn"], form["ExternalId"]) for form in forms] == [
        (ROLE, "of-the-storage"),
        (ROLE_OF_INBOX, "acme-7f3c"),
    ]
    assert "/acme/plain/*" in forms[0]["Policy"]
    assert "/acme/inbox" not in forms[0]["Policy"]


async def test_a_role_that_the_storage_does_not_allow_is_never_assumed(roles: Store) -> None:
    async with bucket(roles, mount_roles=[ROLE_TO_READ]) as (backend, _, proxy):
        with pytest.raises(PermissionDenied):
            await backend.file_info(WORK.child(b"f"), ME)
        assert assumed(proxy) == []


async def test_places_outside_of_all_mounts_and_sessions_without_any_send_nothing(roles: Store) -> None:
    async with bucket(roles) as (backend, _, proxy):
        before = len(list(proxy.log))
        for session in (ME, Session("acme", grants=()), Session("acme")):
            with pytest.raises(PermissionDenied):
                await backend.file_info(Place((b"other", b"f")), session)
        assert len(list(proxy.log)) == before


# ── from one role to another ────────────────────────────────────────────────────────────────────────


async def test_a_file_that_moves_to_another_role_is_read_with_one_and_written_with_the_other(
    roles: Store,
) -> None:
    async with bucket(roles) as (backend, s3, proxy):
        top, data = backend.options.prefix, content(12_000_000)
        await s3.put(f"{top}acme/work/f", data)
        await backend.rename(WORK.child(b"f"), INBOX.child(b"f"), ME, overwrite=False)
        assert await s3.body(f"{top}acme/inbox/f") == data
        assert f"{top}acme/work/f" not in await s3.keys(top)
        copied = await backend.copy(INBOX.child(b"f"), PLAIN.child(b"f"), ME, version=None)
        assert copied.size == len(data)
        assert await s3.body(f"{top}acme/plain/f") == data
        assert proxy.log.count("CopyObject") + proxy.log.count("UploadPartCopy") == 0


async def test_within_one_role_the_store_copies(roles: Store) -> None:
    async with bucket(roles) as (backend, s3, proxy):
        await s3.put(f"{backend.options.prefix}acme/inbox/f", b"x")
        await backend.rename(INBOX.child(b"f"), INBOX.child(b"g"), ME, overwrite=False)
        assert proxy.log.count("CopyObject") == 1


async def test_a_move_that_either_role_forbids_leaves_the_source(roles: Store) -> None:
    async with bucket(roles) as (backend, s3, _):
        top = backend.options.prefix
        await s3.put(f"{top}acme/work/f", b"work")
        await s3.put(f"{top}acme/look/f", b"look")
        with pytest.raises(PermissionDenied):
            await backend.rename(WORK.child(b"f"), LOOK.child(b"new"), ME, overwrite=False)
        with pytest.raises(PermissionDenied):
            await backend.rename(LOOK.child(b"f"), WORK.child(b"new"), ME, overwrite=False)
        assert await s3.body(f"{top}acme/work/f") == b"work"
        assert await s3.body(f"{top}acme/look/f") == b"look"
        with pytest.raises(AlreadyExists):
            await backend.rename(LOOK.child(b"f"), WORK.child(b"f"), ME, overwrite=False)


async def test_a_directory_is_not_moved_to_another_role_and_stays(roles: Store) -> None:
    async with bucket(roles) as (backend, s3, _):
        await s3.put(f"{backend.options.prefix}acme/work/d/f", b"x")
        with pytest.raises(OtherStorage, match="another role"):
            await backend.rename(WORK.child(b"d"), INBOX.child(b"d"), ME, overwrite=False)
        assert await s3.keys(f"{backend.options.prefix}acme/") == [f"{backend.options.prefix}acme/work/d/f"]


def test_no_store_copies_between_buckets_whose_mounts_have_roles() -> None:
    plain = S3Options.model_validate({"bucket": "one"})
    with_roles = S3Options.model_validate({"bucket": "two", "mount_roles": [ROLE]})
    assert not S3Backend(plain).copies_from(UserSessionsBackend(with_roles))
    assert not UserSessionsBackend(with_roles).copies_from(S3Backend(plain))


# ── what is decided without a store ─────────────────────────────────────────────────────────────────


def test_the_nearest_mount_decides_and_a_file_covers_itself_alone() -> None:
    outer, inner = Grant(Place((b"a",))), Grant(Place((b"a", b"b")), role=MountRole(ROLE))
    file = Grant(Place((b"a", b"f")), file=True)
    grants = (outer, inner, file)
    assert grant_at(grants, Place((b"a", b"b", b"c"))) == inner
    assert grant_at(grants, Place((b"a", b"f"))) == file
    assert grant_at(grants, Place((b"a", b"f", b"x"))) == outer
    assert grant_at(grants, Place((b"other",))) is None
    session = Session("acme", grants=grants)
    assert is_across(Place((b"a", b"x")), Place((b"a", b"b", b"x")), session)
    assert not is_across(Place((b"a", b"x")), Place((b"a", b"f")), session)
    assert not is_across(Place((b"a", b"x")), Place((b"a", b"b", b"x")), Session("acme"))
    assert is_across(Place((b"a",)), Place((b"a",), "archive"), Session("acme"))


@pytest.mark.parametrize(
    ("pattern", "allowed"),
    [
        (ROLE, True),
        ("arn:aws:iam::123456789012:role/*", True),
        ("arn:aws:iam::123456789012:role/s*p", True),
        ("arn:aws:iam::*:role/sftp", True),
        ("arn:aws:iam::123456789012:role/sftp2", False),
        ("arn:aws:iam::123456789012:role/sft", False),
        ("arn:aws:iam::1*:role/other", False),
    ],
)
def test_a_star_stands_for_any_characters_of_one_part(pattern: str, allowed: bool) -> None:
    assert is_allowed_role(ROLE, ["arn:aws:iam::999999999999:role/x", pattern]) == allowed
    assert not is_allowed_role("arn:aws:iam::1:user:role/sftp", ["arn:aws:iam::*:role/sftp"])


async def test_the_server_s_own_requests_have_its_own_keys_and_each_role_of_a_user_has_others() -> None:
    role = CountingRole()
    own = FixedCredentials(ReadOnlyCredentials("OWN", "secret", None))
    credentials = RoleCredentials(role, own, 5.0, signs_as_own=True)
    assert (await credentials.get_frozen_credentials()).access_key == "OWN"
    assert not await credentials.renew(0)
    found = set()
    for each in (MountRole(ROLE), MountRole(ROLE, "id"), MountRole(ROLE_TO_READ), None):
        with in_scope(UserScope("s3sftp-acme", "{}", each)):
            found.add((await credentials.get_frozen_credentials()).access_key)
    assert found == {"AK1", "AK2", "AK3", "AK4"}
    await credentials.close()


def test_the_policy_of_a_role_names_buckets_of_the_role_s_partition() -> None:
    role = MountRole("arn:aws-cn:iam::123456789012:role/sftp")
    identity = Identity("acme", None, mounts=(Mount("/in", "acme/", role=role), Mount("/out", "out/")))
    options = S3Options.model_validate({"bucket": "b", "mount_roles": [role.arn]})
    scopes = user_scopes("acme", identity.tree().grants(), options, KeyMapping(""))
    assert scopes[None] is None, "the mount without a role has the server's credentials, and no policy"
    scope = scopes[role]
    assert scope is not None
    statements: list[dict[str, Any]] = json.loads(scope.policy)["Statement"]
    assert "arn:aws-cn:s3:::b/acme/*" in statements[0]["Resource"]
    assert "out" not in scope.policy


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"mount_roles": ["sftp"]}, "should be ARNs of roles"),
        ({"mount_roles": ["*"]}, "should be ARNs of roles"),
        ({"mount_roles": [ROLE], "bucket": "b-s3alias"}, "mount_roles needs the ARN of the access point"),
        ({"mount_roles": [ROLE], "external_id": "x"}, "external_id needs role_arn"),
    ],
)
def test_options_that_cannot_be_are_named(options: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        S3Options.model_validate({"bucket": "b", **options})


# ── the whole server ────────────────────────────────────────────────────────────────────────────────


async def test_openssh_works_in_mounts_with_different_roles(roles: Store, tmp_path: Path) -> None:
    with roles.space() as space:
        mounts: dict[str, dict[str, object]] = {
            "/work": {"prefix": "acme/work/", "role_arn": ROLE},
            "/inbox": {"prefix": "acme/inbox/", "role_arn": ROLE_OF_INBOX, "external_id": "{user}-id"},
            "/look": {"prefix": "acme/look/", "role_arn": "arn:aws:iam::123456789012:role/partner-reader"},
            "/plain": {"prefix": "acme/plain/"},
        }
        options: dict[str, dict[str, object]] = {
            "s3": {"mount_roles": MOUNT_ROLES, "sts_endpoint_url": roles.endpoint_url},
            "users.alice": {"prefix": None},
            **{f'users.alice.mounts."{path}"': mount for path, mount in mounts.items()},
        }
        server = Server(tmp_path / "server", roles, space.bucket, options)
        try:
            await server.astart()
            clients = Clients(server, tmp_path / "home")
            large = tmp_path / "large"
            large.write_bytes(content(12_000_000))
            async with s3_client(roles, space.bucket) as s3:
                await s3.put("acme/look/f", b"look")
                (
                    await clients.sftp(
                        "ls -l /",
                        f"put -p {large} /work/large",
                        "mkdir /work/d",
                        "rename /work/large /inbox/large",
                        "cp /inbox/large /plain/copy",
                        f"get /plain/copy {large}.back",
                        f"get /look/f {tmp_path}/look",
                        "ls -l /inbox",
                    )
                ).ok()
                assert Path(f"{large}.back").read_bytes() == content(12_000_000)
                assert (tmp_path / "look").read_bytes() == b"look"
                assert "ailure" in (await clients.sftp("rename /work/d /inbox/d")).failed().text
                denied = (await clients.sftp(f"put {large} /look/new")).failed().text
                assert "Permission denied" in denied
                files = [key for key in await s3.keys("acme/") if not key.endswith("/")]
                assert files == ["acme/inbox/large", "acme/look/f", "acme/plain/copy"]
            assert "Traceback" not in server.output()
            assert server.events("credentials.failed") == []
        finally:
            server.close()

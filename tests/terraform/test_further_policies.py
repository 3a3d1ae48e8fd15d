"""The policies of the modules users, shared-state and mount-role: what the server asks for, and no more."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import pytest

from s3sftp.auth.aws import dynamodb, secrets_manager
from s3sftp.backends import Grant, MountRole, Place, Session
from s3sftp.backends.s3 import S3Options
from s3sftp.backends.s3.keys import KeyMapping
from s3sftp.backends.s3.session_policy import session_policy
from s3sftp.backends.s3.user_sessions import UserSessionsBackend
from s3sftp.shared_state.table import REQUESTS
from testbed.request_log import Seen
from testbed.s3_store import Store
from tests.backends.s3.conftest import PART
from tests.backends.s3.upload_driver import data_of
from tests.backends.storages import s3_options
from tests.support.fault_proxy import FaultProxy
from tests.support.seaweed_roles import ROLE, running_seaweed_with_roles
from tests.support.terraform import Terraform
from tests.terraform.iam import Need, Statement, actions_of, allows, needs_of

pytestmark = pytest.mark.timeout(600)  # the first time the stand-in is installed
BUCKET = "arn:aws:s3:::acme-exchange"
ACME = Place((b"acme",))
EVERYTHING = "everything_asked_for"


def policy_of(terraform: Terraform, module: str, run: str) -> list[Statement]:
    """The policy that the module gives to a role, without what is about keys of KMS."""
    tested = terraform.tested(f"modules/{module}")
    tested.result.ok()
    [resource] = [each for each in tested.resources(run) if each["address"] == "aws_iam_role_policy.this"]
    statements: list[Statement] = json.loads(resource["values"]["policy"])["Statement"]
    return [each for each in statements if not str(each["Action"][0]).startswith("kms:")]


def table_of(terraform: Terraform, module: str) -> dict[str, Any]:
    resources = terraform.tested(f"modules/{module}").resources(EVERYTHING)
    [table] = [each["values"] for each in resources if each["type"] == "aws_dynamodb_table"]
    return cast(dict[str, Any], table)


def test_users_are_looked_up_and_neither_listed_nor_changed(terraform: Terraform) -> None:
    policy = policy_of(terraform, "users", EVERYTHING)
    assert set(actions_of(policy)) == {dynamodb._GET_ITEM.permission, secrets_manager._GET_SECRET.permission}


def test_secrets_outside_of_the_prefix_are_out_of_reach(terraform: Terraform) -> None:
    policy = policy_of(terraform, "users", "secrets")
    start = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:"
    action = secrets_manager._GET_SECRET.permission
    assert allows(policy, Need(action, f"{start}aws/transfer/s-1234567890abcdef0/acme-Ab1234"))
    for other in ("aws/transfer/s-1234567890abcdef0-x/acme-Ab1234", "database-Ab1234"):
        assert not allows(policy, Need(action, start + other))


def test_the_shared_table_has_the_keys_and_the_role_the_rights_that_the_server_uses(
    terraform: Terraform,
) -> None:
    table = table_of(terraform, "shared-state")
    assert (table["hash_key"], table["range_key"]) == ("pk", "sk")
    assert [each["attribute_name"] for each in table["ttl"]] == ["expires"]
    policy = policy_of(terraform, "shared-state", EVERYTHING)
    assert set(actions_of(policy)) == {request.permission for request in REQUESTS}


@pytest.mark.parametrize(
    ("run", "stores", "removes"),
    [(EVERYTHING, True, True), ("to_pick_up", False, True), ("to_read", False, False)],
)
def test_a_role_of_a_mount_allows_what_the_server_s_session_policy_does_and_no_more(
    terraform: Terraform, run: str, stores: bool, removes: bool
) -> None:
    role = policy_of(terraform, "mount-role", run)
    grants = (Grant(ACME, stores=stores, removes=removes, role=MountRole(ROLE)),)
    options = S3Options.model_validate({"bucket": "acme-exchange", "prefix": "partners/"})
    session = [
        each
        for each in json.loads(session_policy(grants, options, KeyMapping(options.prefix)))["Statement"]
        if "kms:Decrypt" not in each["Action"]
    ]
    assert set(actions_of(role)) == set(actions_of(session))
    assert _reached(role) == _reached(session)


def _reached(policy: list[Statement]) -> set[tuple[str, str, str]]:
    """Each action with each resource, and the condition."""
    return {
        (action, resource, "".join(_prefixes(statement)))
        for statement in policy
        for action in statement["Action"]
        for resource in statement["Resource"]
    }


def _prefixes(statement: Statement) -> Iterator[str]:
    found = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix", [])
    yield from [found] if isinstance(found, str) else found


async def test_every_request_for_a_user_in_the_mount_is_allowed_by_the_module_s_role(
    terraform: Terraform,
) -> None:
    role = policy_of(terraform, "mount-role", EVERYTHING)
    needs = {need for seen in await _requests() for need in needs_of(seen, BUCKET)}
    assert {need.action for need in needs} >= {"s3:PutObject", "s3:DeleteObject", "s3:ListBucket"}
    assert sorted(f"{need.action} on {need.resource}" for need in needs if not _allowed(role, need)) == []


def _allowed(role: list[Statement], need: Need) -> bool:
    return need.action.startswith("kms:") or allows(role, need)


async def _requests() -> list[Seen]:
    """What a user causes who does everything that a mount allows."""
    me = Session("acme", grants=(Grant(ACME, stores=True, removes=True, role=MountRole(ROLE)),))
    with running_seaweed_with_roles() as store:
        async with _backend(store) as (backend, proxy):
            before = len(list(proxy.log))
            small, large = ACME.child(b"d").child(b"small"), ACME.child(b"large")
            await backend.make_dir(ACME.child(b"d"), me)
            await backend.write_file(small, b"x", me)
            await backend.write_file(large, data_of(2 * PART + 1), me)
            await backend.read_file(large, me)
            async with aclosing(cast(Any, backend.list_dir(ACME, me))) as pages:
                assert [page async for page in pages]
            await backend.copy(small, ACME.child(b"copy"), me, version=None)
            await backend.set_mtime(small, 1e9, me)
            await backend.rename(ACME.child(b"d"), ACME.child(b"e"), me, overwrite=False)
            await backend.delete(ACME.child(b"copy"), me)
            await backend.total_below(ACME, me)
            return [seen for seen in list(proxy.log)[before:] if b"AssumeRole" not in seen.body]


@asynccontextmanager
async def _backend(store: Store) -> AsyncIterator[tuple[UserSessionsBackend, FaultProxy]]:
    async with FaultProxy(store.endpoint_url) as proxy:
        with store.space() as space:
            given = s3_options(store.behind(proxy.url), space, 0).model_dump()
            changes = {"mount_roles": [ROLE], "sts_endpoint_url": proxy.url, "prefix": "partners/"}
            backend = UserSessionsBackend(S3Options.model_validate(given | changes), None)
            await backend.start()
            try:
                yield backend, proxy
            finally:
                await backend.stop()

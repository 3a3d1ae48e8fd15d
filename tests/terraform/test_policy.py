"""The policies of the module `access`: all that the server does, and nothing else.

What the server does is recorded: requests to a real S3, in front of which a proxy writes them down.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from s3sftp.backends.s3.iam_permissions import permission_for
from testbed.request_log import Seen
from testbed.s3_store import Store, new_bucket_name
from tests.support.terraform import EXAMPLES, MODULES, ROOT, Terraform
from tests.terraform.iam import BY_HEADER, Need, Statement, actions_of, allows, needs_of
from tests.terraform.recorded_requests import PREFIX, recorded

pytestmark = pytest.mark.timeout(600)  # the first time the stand-in is installed
ACCESS = "modules/access"
BUCKET = "arn:aws:s3:::acme-exchange"
EVERYTHING = "by_pod_identity_with_everything"
OF_THE_BUCKET = {"s3:ListBucketMultipartUploads", "s3:GetLifecycleConfiguration", "s3:GetBucketVersioning"}
"""Actions that no condition limits to a prefix."""

POLICIES = {
    "aws_iam_role": ["assume_role_policy"],
    "aws_iam_role_policy": ["policy"],
    "aws_kms_key": ["policy"],
    "aws_s3_bucket_policy": ["policy"],
}

Policy = list[Statement]


@pytest.fixture(scope="module")
def policy(terraform: Terraform) -> Policy:
    """The policy with every statement that there is."""
    return _policy(terraform, EVERYTHING, "aws_iam_role_policy.this")


@pytest.fixture(scope="module")
def partners(terraform: Terraform) -> Policy:
    """The policy of a session for one partner."""
    return _policy(terraform, EVERYTHING, "aws_iam_role_policy.partner[0]")


def _policy(terraform: Terraform, run: str, address: str) -> Policy:
    tested = terraform.tested(ACCESS)
    tested.result.ok()
    [resource] = [each for each in tested.resources(run) if each["address"] == address]
    found: Mapping[str, Any] = json.loads(resource["values"]["policy"])
    assert found["Version"] == "2012-10-17"
    return list(found["Statement"])


@pytest.fixture(scope="module")
def requests(seaweed: Store, tmp_path_factory: pytest.TempPathFactory) -> list[Seen]:
    """What was recorded."""
    bucket = new_bucket_name()
    seaweed.make_bucket(bucket)
    try:
        return asyncio.run(recorded(seaweed, bucket, tmp_path_factory.mktemp("recording")))
    finally:
        seaweed.drop_bucket(bucket)


@pytest.fixture(scope="module")
def needs(requests: list[Seen]) -> set[Need]:
    """What the requests need of IAM."""
    return {need for seen in requests for need in needs_of(seen, BUCKET)}


def test_every_request_that_the_server_makes_is_allowed(policy: Policy, needs: set[Need]) -> None:
    refused = sorted({f"{need.action} on {need.resource}" for need in needs if not allows(policy, need)})
    assert not refused


def test_every_action_of_the_policy_is_used(policy: Policy, needs: set[Need]) -> None:
    actions = actions_of(policy)
    assert len(actions) == len(set(actions)), "each has one statement, which says why"
    assert set(actions) == {need.action for need in needs}


def test_without_any_of_its_statements_something_is_refused(policy: Policy, needs: set[Need]) -> None:
    for statement in policy:
        rest = [each for each in policy if each is not statement]
        assert any(not allows(rest, need) for need in needs), f"nothing needs {statement['Sid']}"


def test_nothing_outside_the_prefix_is_allowed(policy: Policy, needs: set[Need]) -> None:
    elsewhere = {
        Need(
            need.action,
            need.resource.replace(f"/{PREFIX}", "/others/"),
            {name: value.replace(PREFIX, "others/") for name, value in need.context.items()},
        )
        for need in needs
    }
    assert {need.action for need in elsewhere if allows(policy, need)} == OF_THE_BUCKET
    assert not allows(policy, Need("s3:ListBucket", BUCKET)), "the names of all files"
    assert not allows(policy, Need("s3:ListBucket", BUCKET, {"s3:prefix": ""}))


def test_no_statement_has_a_wildcard_for_actions_or_a_resource_of_others(policy: Policy) -> None:
    for statement in policy:
        assert not any("*" in action for action in statement["Action"]), statement["Sid"]
        assert statement["Resource"].rstrip("*").startswith((BUCKET, "arn:aws:kms:")), statement["Sid"]


@pytest.mark.parametrize("at", [*MODULES, *EXAMPLES])
def test_every_policy_is_whole(terraform: Terraform, at: str) -> None:
    """Those that say who may take a role, and those of buckets and keys too."""
    for resource in terraform.tested(at).all_resources():
        for name in POLICIES.get(resource["type"], ()):
            document = json.loads(resource["values"][name])
            assert document["Version"] == "2012-10-17", resource["address"]
            for statement in document["Statement"]:
                assert re.fullmatch("[A-Za-z0-9]+", statement["Sid"]), "IAM takes nothing else"
                assert statement["Action"], statement["Sid"]
                assert ("Principal" in statement) == (resource["type"] != "aws_iam_role_policy"), statement
                assert ("Resource" in statement) == (name != "assume_role_policy"), statement
                refuses = resource["type"] == "aws_s3_bucket_policy" and statement["Sid"].startswith("Refuse")
                assert statement["Effect"] == ("Deny" if refuses else "Allow"), statement["Sid"]


def test_statements_that_are_switched_off_leave_out_these_actions_alone(
    terraform: Terraform, policy: Policy
) -> None:
    little = _policy(terraform, "as_a_task_with_little", "aws_iam_role_policy.this")
    assert set(actions_of(policy)) - set(actions_of(little)) == {
        *("s3:GetObjectTagging", "s3:PutObjectTagging", "s3:PutObjectAcl"),
        *("s3:GetLifecycleConfiguration", "s3:GetBucketVersioning"),
        *("kms:GenerateDataKey", "kms:Decrypt"),
    }


def test_the_server_names_the_permission_that_each_request_needs(requests: list[Seen]) -> None:
    """When one is refused: not those for options or keys, of which a request tells nothing."""
    for seen in requests:
        needed = {need.action for need in needs_of(seen, BUCKET) if not need.action.startswith("kms:")}
        needed -= {action for header, action in BY_HEADER.items() if header in seen.headers}
        named = set(re.findall(r"s3:\w+", permission_for(seen.api)))
        assert needed <= named, seen.api


@pytest.mark.parametrize("page", ["README.md", "docs/terraform.md"])
def test_what_the_documentation_says_that_the_bucket_must_allow_is_the_policy(
    page: str, policy: Policy
) -> None:
    said = re.findall(r"`((?:s3|kms):[A-Z]\w+)`", (ROOT / page).read_text("utf-8"))
    assert set(said) == set(actions_of(policy))


def test_a_session_of_a_partner_reaches_the_files_of_that_partner_alone(
    policy: Policy, partners: Policy, needs: set[Need]
) -> None:
    alice, bob = {"partner": "alice"}, {"partner": "bob"}
    assert set(actions_of(partners)) < set(actions_of(policy))
    for action in actions_of(partners):
        about_alice = [need for need in needs if need.action == action and _is_alices(need)]
        assert about_alice, action
        assert any(allows(partners, need, alice) for need in about_alice), action
        assert not any(allows(partners, need, bob) for need in about_alice), action
        assert not any(allows(partners, need, {}) for need in about_alice), action


def _is_alices(need: Need) -> bool:
    """Whether it is about files below alice's directory, that one itself not among them."""
    where = (need.resource, *need.context.values())
    return any(f"{PREFIX}alice/" in each for each in where)

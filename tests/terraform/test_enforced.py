"""The policy of the module `access`, enforced by moto, which does what IAM does for actions and resources.

It knows no condition of S3, so `s3:prefix` is left out here; `test_policy.py` looks at that.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from s3sftp.backends import s3 as s3_backend
from testbed.s3_store import Store
from tests.backends.s3.conftest import options_for
from tests.support.moto_server import running_moto
from tests.support.terraform import Terraform
from tests.terraform.iam import Statement
from tests.terraform.recorded_requests import PREFIX, recorded

pytestmark = pytest.mark.timeout(600)  # the first time the stand-in is installed

BUCKET = "acme-exchange"
SERVER = "server"


class Account:
    """An account of AWS with a bucket, and users with policies that are enforced."""

    def __init__(self, store: Store) -> None:
        store.make_bucket(BUCKET)
        self._iam = self._client(store)
        self.owner = self._user(store, "owner")
        self.allow("owner", [{"Effect": "Allow", "Action": "*", "Resource": "*"}])
        self.server = self._user(store, SERVER)
        request = urllib.request.Request(
            f"{store.endpoint_url}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"}, method="POST"
        )
        urllib.request.urlopen(request).close()  # from now on
        self._iam = self._client(self.owner)

    @staticmethod
    def _client(store: Store) -> Any:
        return boto3.client(
            "iam",
            endpoint_url=store.endpoint_url,
            region_name=store.region,
            aws_access_key_id=store.access_key,
            aws_secret_access_key=store.secret_key,
        )

    def _user(self, store: Store, name: str) -> Store:
        """The store as a user sees it who is allowed nothing yet."""
        self._iam.create_user(UserName=name)
        key = self._iam.create_access_key(UserName=name)["AccessKey"]
        return replace(store, access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])

    def allow(self, name: str, policy: list[Statement]) -> None:
        """Let a user do this, and nothing else."""
        document = json.dumps({"Version": "2012-10-17", "Statement": policy})
        self._iam.put_user_policy(UserName=name, PolicyName="files", PolicyDocument=document)


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    with running_moto() as store:
        yield Account(store)


@pytest.fixture(scope="module")
def policy(terraform: Terraform) -> list[Statement]:
    tested = terraform.tested("modules/access")
    text = tested.result.ok() and tested.output("by_pod_identity_with_everything", "policy")
    statements: list[dict[str, Any]] = json.loads(text)["Statement"]
    return [
        {name: value for name, value in each.items() if name != "Condition"}
        for each in statements
        if not each["Action"][0].startswith("kms:")
    ]


@pytest.mark.long
async def test_a_server_with_that_policy_is_refused_nothing(
    account: Account, policy: list[Statement], tmp_path: Path
) -> None:
    account.allow(SERVER, policy)
    requests = await recorded(account.server, BUCKET, tmp_path, owner=account.owner)
    assert len(requests) > 100
    assert [f"{seen.api} {seen.key}" for seen in requests if seen.status == 403] == []


@pytest.mark.parametrize(
    ("sid", "api"),
    [
        ("ListDirectories", "ListObjectsV2"),
        ("ReadFiles", "HeadObject"),
        ("WriteAndCopyFiles", "PutObject"),
        ("RemoveAndRenameFiles", "DeleteObject"),
        ("AbortBrokenUploads", "AbortMultipartUpload"),
        ("CheckRulesOfBucket", "GetBucketLifecycleConfiguration"),
    ],
)
async def test_without_a_statement_check_says_which_request_is_refused(
    account: Account, policy: list[Statement], sid: str, api: str
) -> None:
    account.allow(SERVER, [each for each in policy if each["Sid"] != sid])
    findings = await s3_backend.check(options_for(account.server, BUCKET, prefix=PREFIX))
    refused = [finding.text for finding in findings if "denied" in finding.text]
    assert any(f"{api}:" in text and "403" in text for text in refused), findings

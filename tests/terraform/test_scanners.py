"""What scanners of others say of the modules: checkov of the tree, parliament of the policies."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.terraform import EXAMPLES, MODULES, TREE, Terraform, environment

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]  # the first time the scanners are installed
CHECKOV = ("checkov==3.3.30",)
PARLIAMENT = ("parliament==1.6.4", "setuptools<81")


def _checkov(directory: Path) -> dict[str, Any]:
    """What checkov says of the Terraform in a directory."""
    python = environment("checkov", CHECKOV)
    done = subprocess.run(
        [
            *(str(python.with_name("checkov")), "--directory", str(directory), "--framework", "terraform"),
            *("--skip-download", "--quiet", "--compact", "--output", "json"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["summary"]["parsing_errors"] == 0
    return found


def _failed(found: dict[str, Any]) -> list[str]:
    return [f"{each['check_id']} {each['resource']}" for each in found["results"]["failed_checks"]]


def test_checkov_finds_nothing() -> None:
    found = _checkov(TREE)
    assert _failed(found) == []
    assert found["summary"]["passed"] > 100, "so much is looked at"


def test_what_checkov_is_told_to_skip_has_a_reason() -> None:
    for file in TREE.rglob("*.tf"):
        for line in file.read_text("utf-8").splitlines():
            if "checkov:skip" in line:
                assert len(line.partition("skip=")[2].partition(":")[2].split()) >= 3, f"{file}: {line}"


def test_checkov_finds_a_fault(tmp_path: Path) -> None:
    tree = tmp_path / "bucket"
    shutil.copytree(TREE / "modules/bucket", tree)
    main = tree / "main.tf"
    main.write_text(
        main.read_text("utf-8").replace("block_public_policy     = true", "block_public_policy = false")
    )
    assert "CKV_AWS_54 aws_s3_bucket_public_access_block.this" in _failed(_checkov(tree))


_ANALYSE = """
import json, sys, parliament
for policy in json.load(sys.stdin):
    print(json.dumps([finding.issue for finding in parliament.analyze_policy_string(policy).findings]))
"""


def _parliament(policies: Sequence[str]) -> list[list[str]]:
    """What parliament finds in each policy."""
    python = environment("parliament", PARLIAMENT)
    done = subprocess.run(
        [str(python), "-W", "ignore", "-c", _ANALYSE],
        input=json.dumps(policies),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_parliament_finds_nothing_in_the_policies_of_roles(terraform: Terraform) -> None:
    """Those of roles alone: it knows neither principals nor the policies of buckets and keys."""
    policies = sorted(
        {
            resource["values"]["policy"]
            for at in [*MODULES, *EXAMPLES]
            for resource in terraform.tested(at).all_resources()
            if resource["type"] == "aws_iam_role_policy"
        }
    )
    assert len(policies) > 5
    found = _parliament(policies)
    assert [each for each in zip(policies, found, strict=True) if each[1]] == []


@pytest.mark.parametrize(
    ("statement", "issue"),
    [
        ({"Action": "s3:ListFiles"}, "UNKNOWN_ACTION"),
        ({"Action": "s3:GetObject", "Resource": "arn:aws:s3:::acme-exchange"}, "RESOURCE_MISMATCH"),
        (
            {
                "Action": "s3:ListBucketMultipartUploads",
                "Resource": "arn:aws:s3:::acme-exchange",
                "Condition": {"StringLike": {"s3:prefix": "partners/*"}},
            },
            "UNKNOWN_CONDITION_FOR_ACTION",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_parliament_finds_a_fault(statement: dict[str, Any], issue: str) -> None:
    whole = {"Sid": "Seeded", "Effect": "Allow", "Resource": "*", **statement}
    [found] = _parliament([json.dumps({"Version": "2012-10-17", "Statement": [whole]})])
    assert issue in found

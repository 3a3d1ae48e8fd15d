"""A gate that cannot fail is none: faults are put into the modules, and each has to be found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.terraform import Terraform
from tests.terraform.allowed_values import wrong_values
from tests.terraform.iam import actions_of

pytestmark = pytest.mark.timeout(600)  # the first time the stand-in is installed


@dataclass(frozen=True)
class Fault:
    """A change of one file that makes it wrong."""

    what: str
    file: str
    right: str
    wrong: str
    said: str = ""
    """A part of what is said of it."""

    @contextmanager
    def put_into(self, terraform: Terraform, directory: Path) -> Iterator[tuple[Terraform, str]]:
        """A copy of the tree with the fault, initialised; and the directory that the file is in."""
        tree = directory / "terraform"
        shutil.copytree(terraform.tree, tree, symlinks=True, ignore=shutil.ignore_patterns(".terraform"))
        path = tree / self.file
        text = path.read_text("utf-8")
        assert text.count(self.right) >= 1, f"{self.right!r} is no longer in {self.file}"
        path.write_text(text.replace(self.right, self.wrong, 1), "utf-8")
        yield Terraform(tree, terraform.reattach), str(Path(self.file).parent)


BUCKET = "modules/bucket/main.tf"
NETWORK = "modules/network/main.tf"
SCHEMA = [
    Fault("unknown argument", BUCKET, "block_public_acls ", "block_acls ", "Unsupported argument"),
    Fault(
        "unknown block",
        BUCKET,
        "abort_incomplete_multipart_upload {",
        "abort_uploads {",
        "Unsupported block type",
    ),
    Fault(
        "wrong type",
        NETWORK,
        "healthy_threshold   = 2",
        'healthy_threshold   = "two"',
        "a number is required",
    ),
    Fault(
        "list for a text",
        NETWORK,
        "vpc_id                 = var.vpc_id",
        "vpc_id = [var.vpc_id]",
        "string required",
    ),
    Fault(
        "missing argument",
        "modules/network/firewall.tf",
        '  ip_protocol       = "tcp"\n',
        "",
        "Missing required argument",
    ),
    Fault(
        "missing block",
        BUCKET,
        '  rule {\n    object_ownership = "BucketOwnerEnforced"\n  }\n',
        "",
        "Insufficient rule blocks",
    ),
    Fault(
        "one block too many",
        NETWORK,
        "  health_check {",
        "  health_check {\n  }\n\n  health_check {",
        "Too many",
    ),
    Fault(
        "unknown resource",
        BUCKET,
        "= aws_s3_bucket.this.id",
        "= aws_s3_bucket.that.id",
        "undeclared resource",
    ),
    Fault(
        "unknown attribute",
        BUCKET,
        "aws_s3_bucket.this.arn,",
        "aws_s3_bucket.this.arm,",
        "Unsupported attribute",
    ),
    Fault("unknown type", BUCKET, '"aws_s3_bucket_logging"', '"aws_s3_bucket_logs"', "Invalid resource type"),
    Fault("unknown variable", BUCKET, "= var.force_destroy", "= var.destroy", "undeclared input variable"),
    Fault(
        "what AWS sets", NETWORK, "name                             = var.name", 'arn = "x"', "unconfigurable"
    ),
    Fault(
        "argument of a module",
        "examples/minimal/main.tf",
        "= var.bucket",
        "= var.bucket\n  nme = 1",
        "Unsupported",
    ),
    Fault(
        "missing argument of a module",
        "examples/minimal/main.tf",
        "  name   = var.bucket\n",
        "",
        "Missing required",
    ),
    Fault(
        "unknown output",
        "examples/minimal/outputs.tf",
        "bucket.s3_options",
        "bucket.options",
        "Unsupported attribute",
    ),
]
"""Found by `terraform validate`, with the schema."""

BEHAVIOUR = [
    Fault(
        "public", BUCKET, "block_public_policy     = true", "block_public_policy     = false", "all four ways"
    ),
    Fault(
        "plain HTTP",
        BUCKET,
        '"aws:SecureTransport" = "false"',
        '"aws:SecureTransport" = "true"',
        "without TLS",
    ),
    Fault("whole bucket", "modules/access/main.tf", "/${var.prefix}*", "/*", "below the prefix"),
    Fault(
        "any ServiceAccount",
        "modules/access/trust.tf",
        ":${irsa.service_account}",
        ":*",
        "One ServiceAccount",
    ),
    Fault("HTTP health check", NETWORK, 'var.proxy_protocol ? "TCP" : "HTTP"', '"HTTP"', "PROXY headers too"),
    Fault(
        "validation that lets all through",
        "modules/network/variables.tf",
        "length(var.client_cidrs) > 0 && alltrue([for each in var.client_cidrs : can(cidrhost(each, 0))])",
        "var.client_cidrs != null",
        "Missing expected failure",
    ),
]
"""Found by `terraform test`."""

VALUES = [
    Fault("enum", BUCKET, '"BucketOwnerEnforced"', '"BucketOwnerForced"', "object_ownership"),
    Fault(
        "another enum", NETWORK, 'load_balancer_type               = "network"', 'load_balancer_type = "net"'
    ),
    Fault("range", NETWORK, "    interval            = 10", "    interval            = 1"),
]
"""What no schema knows: Terraform finds nothing, the table of values does."""


def _validated(terraform: Terraform, at: str) -> str:
    terraform("init", "-no-color", at=at).ok()
    result = terraform("validate", "-json", at=at)
    told = json.loads(result.text)["diagnostics"]
    return " ".join(" ".join(f"{each['summary']} {each.get('detail', '')}".split()) for each in told)


@pytest.mark.parametrize("fault", SCHEMA, ids=lambda fault: fault.what)
def test_validate_finds(terraform: Terraform, tmp_path: Path, fault: Fault) -> None:
    with fault.put_into(terraform, tmp_path) as (faulty, at):
        assert fault.said in _validated(faulty, at)


@pytest.mark.parametrize("fault", BEHAVIOUR, ids=lambda fault: fault.what)
def test_the_tests_of_the_modules_find(terraform: Terraform, tmp_path: Path, fault: Fault) -> None:
    with fault.put_into(terraform, tmp_path) as (faulty, at):
        assert _validated(faulty, at) == "", "the schema allows it"
        tested = faulty.tested(at)
        assert tested.result.status != 0
        assert fault.said in tested.result.text


@pytest.mark.parametrize("fault", VALUES, ids=lambda fault: fault.what)
def test_the_table_of_values_finds_what_the_schema_does_not(
    terraform: Terraform, tmp_path: Path, fault: Fault
) -> None:
    with fault.put_into(terraform, tmp_path) as (faulty, at):
        assert _validated(faulty, at) == ""
        assert wrong_values(faulty.tested(at).all_resources())


def test_fmt_finds_what_is_not_formatted(terraform: Terraform, tmp_path: Path) -> None:
    fault = Fault("format", BUCKET, "  bucket = ", "  bucket    = ")
    with fault.put_into(terraform, tmp_path) as (faulty, _):
        assert faulty("fmt", "-check", "-recursive").status != 0


def test_an_action_that_is_left_out_changes_the_policy_that_is_compared(
    terraform: Terraform, tmp_path: Path
) -> None:
    fault = Fault(
        "action", "modules/access/main.tf", '["s3:AbortMultipartUpload"]', '["s3:ListBucketVersions"]'
    )
    with fault.put_into(terraform, tmp_path) as (faulty, at):
        tested = faulty.tested(at)
        [policy] = {tested.output(run, "policy") for run in ["by_service_account_token"]}
        actions = actions_of(json.loads(policy)["Statement"])
        assert "s3:AbortMultipartUpload" not in actions
        assert "s3:ListBucketVersions" in actions

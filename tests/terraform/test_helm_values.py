"""Terraform's outputs are values of the chart, by the command that the documentation has."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.helm import chart
from tests.support.terraform import ROOT, Terraform

pytestmark = pytest.mark.timeout(600)  # the first time the stand-in and Helm are downloaded

Values = Mapping[str, Any]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ6Yd2sZ0fJv1Q9Q2m3mX3n7mW2o7v9d4q0m3cJ8m0tY alice"
USERS = {"users": {"inline": {"alice": {"authorized_keys": [KEY]}}}}
ROLE = "arn:aws:iam::111122223333:role/s3sftp"


def _values(terraform: Terraform, example: str) -> Values:
    """What the example's output `helm_values` is."""
    tested = terraform.tested(f"examples/{example}")
    tested.result.ok()
    found: Values = tested.output("helm_values", "helm_values")
    return found


def _rendered(major: str, values: Values) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = chart.Chart(major).objects(values, USERS)
    return found


def _one(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(each for each in chart.of_kind(objects, kind) if "test" not in each["metadata"]["name"])


def _options(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """The configuration that the server gets."""
    files = [
        file
        for each in chart.of_kind(objects, "ConfigMap")
        for name, file in each["data"].items()
        if name.endswith(".toml")
    ]
    return tomllib.loads(files[0])


@pytest.mark.parametrize("major", ["3", "4"])
def test_the_minimal_example_is_a_release_with_a_role_and_a_bucket(terraform: Terraform, major: str) -> None:
    objects = _rendered(major, _values(terraform, "minimal"))
    account = _one(objects, "ServiceAccount")
    assert account["metadata"]["name"] == "s3sftp"
    assert account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"] == ROLE
    assert _one(objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == "s3sftp"
    s3 = _options(objects)["s3"]
    assert (s3["bucket"], s3["region"], s3["prefix"]) == ("acme-exchange", "eu-central-1", "partners/")


@pytest.mark.parametrize("major", ["3", "4"])
def test_the_complete_example_is_a_release_behind_a_load_balancer(terraform: Terraform, major: str) -> None:
    objects = _rendered(major, _values(terraform, "complete"))
    options = _options(objects)
    assert options["s3"]["prefix"] == "partners/"
    assert options["listen"]["proxy_protocol"] == "required"
    assert options["listen"]["proxy_sources"] == ["10.0.0.0/24", "10.0.0.0/24"]
    service = next(
        each for each in chart.of_kind(objects, "Service") if each["spec"]["type"] == "LoadBalancer"
    )
    told = " ".join(service["metadata"]["annotations"].values())
    assert "eipalloc-0123456789abcdef0" in told
    assert "subnet-0000000000000000a" in told
    assert service["spec"]["loadBalancerSourceRanges"] == ["203.0.113.0/24"]


def test_each_tenant_has_values_for_a_release_of_its_own(terraform: Terraform) -> None:
    tenants = _values(terraform, "multi-tenant")
    assert set(tenants) == {"acme", "globex"}
    for name, values in tenants.items():
        assert _options(_rendered("4", values))["s3"]["prefix"] == f"{name}/"


def test_the_documented_command_writes_the_file_that_helm_reads(terraform: Terraform, tmp_path: Path) -> None:
    """With a root that has the output and nothing else: it is really applied."""
    page = (ROOT / "docs/terraform.md").read_text("utf-8")
    match = re.search(r"^\$ (terraform output .*) > values\.json$", page, re.M)
    assert match is not None
    values = _values(terraform, "complete")
    (tmp_path / "given.json").write_text(json.dumps(values), "utf-8")
    (tmp_path / "main.tf").write_text('output "helm_values" {\n  value = jsondecode(file("given.json"))\n}\n')
    terraform("init", at=tmp_path).ok()
    terraform("apply", "-auto-approve", at=tmp_path).ok()
    written = tmp_path / "values.json"
    written.write_text(terraform(*shlex.split(match[1])[1:], at=tmp_path).ok().text, "utf-8")
    assert json.loads(written.read_text("utf-8")) == values
    assert chart.Chart("4").objects(written, USERS)

"""What checkov says of the chart: nothing but what is meant, and why."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.helm.chart import CHART, values_file
from tests.helm.tools import ROOT, helm
from tests.support.terraform import environment

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]  # the first time it is installed
PACKAGES = ("checkov==3.3.30",)

MEANT = {
    "CKV_K8S_11": "a limit of CPU slows every session down while the node is idle; `resources` takes one",
    "CKV_K8S_15": "a tag is a version and never moved; `image.pullPolicy` may say Always",
    "CKV_K8S_21": "the namespace is that of the release",
    "CKV_K8S_43": "`image.digest` takes one",
}
OF_HOOKS = {
    "CKV_K8S_8": "the pod runs a script to its end",
    "CKV_K8S_9": "the pod runs a script to its end",
    "CKV_K8S_38": "the script talks to the API of Kubernetes",
    "CKV2_K8S_6": "a pod of seconds, to which nobody connects",
}
"""Meant of the pods of hooks alone."""


@pytest.fixture(scope="module")
def checkov() -> Path:
    """Installing it takes half a minute: that is left to CI, unless it is there."""
    if not (ROOT / ".cache/checkov/bin/checkov").exists() and not os.environ.get("CI"):
        pytest.skip("checkov is not in .cache: CI=1 installs it")
    return environment("checkov", PACKAGES).with_name("checkov")


def failed(checkov: Path, chart: Path, values: Path) -> list[tuple[str, str]]:
    """The checks that fail, and where."""
    done = subprocess.run(
        [
            *(str(checkov), "--directory", str(chart), "--framework", "helm", "--var-file", str(values)),
            *("--skip-download", "--quiet", "--compact", "--output", "json"),
        ],
        # without helm on its path it finds nothing, which looks like success
        env={**os.environ, "PATH": f"{helm('3').parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["summary"]["passed"] > 100, "so much is looked at"
    return [(each["check_id"], each["resource"]) for each in found["results"]["failed_checks"]]


def test_checkov_finds_nothing_that_is_not_meant(checkov: Path) -> None:
    found = failed(checkov, CHART, values_file("minimal"))
    assert [(check, where) for check, where in found if not _is_meant(check, where)] == []
    assert {check for check, _ in found} == MEANT.keys() | OF_HOOKS.keys()


def test_checkov_finds_a_fault(checkov: Path, tmp_path: Path) -> None:
    chart = tmp_path / "s3sftp"
    shutil.copytree(CHART, chart)
    values = chart / "values.yaml"
    right, wrong = "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true"
    values.write_text(values.read_text("utf-8").replace(right, wrong), "utf-8")

    found = {check for check, _ in failed(checkov, chart, values_file("minimal"))}
    assert "CKV_K8S_20" in found


def _is_meant(check: str, where: str) -> bool:
    return check in MEANT or (check in OF_HOOKS and ("-test" in where or "-host-keys-job" in where))

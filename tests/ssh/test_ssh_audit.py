"""ssh-audit against each policy: it finds what docs/algorithms.md lists and explains, and nothing else."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from tests.docs.pages import DOCS
from tests.ssh.listener_harness import HOST_KEY, listener_harness
from tests.support.commands import run

HOST_KEYS = (
    HOST_KEY,
    asyncssh.generate_private_key("ecdsa-sha2-nistp256"),
    asyncssh.generate_private_key("ssh-rsa", key_size=3072),
)
Found = set[tuple[str, str]]


def explained() -> Found:
    """The findings on the page, with the algorithm of each."""
    page = (DOCS / "algorithms.md").read_text("utf-8")
    (table,) = re.findall(r"<!-- audit -->\n(.*)<!-- /audit -->", page, re.DOTALL)
    found: Found = set()
    for row in table.splitlines()[2:]:
        finding, algorithms, why = (cell.strip() for cell in row.strip("|").split(" | "))
        assert why, f"no explanation: {finding}"
        found |= {(name, finding) for name in re.findall(r"`([^`]+)`", algorithms)}
    return found


async def audit(policy: str) -> tuple[Found, set[str], dict[str, Any]]:
    """What ssh-audit finds, which algorithms it sees, and the whole report.

    ssh-audit says that it knows AES-GCM, so by default it would see the AEAD ciphers alone.
    """
    program = Path(sys.executable).with_name("ssh-audit")
    async with listener_harness(
        ssh={"algorithms": policy, "prefer_aead": False}, host_keys=HOST_KEYS
    ) as house:
        # the rate test measures this machine
        result = await run([str(program), "-j", "--skip-rate-test", "-p", str(house.port), "127.0.0.1"])
    report: dict[str, Any] = json.loads(result.out)
    algorithms = [entry for kind in ("kex", "key", "enc", "mac") for entry in report[kind]]
    found = {
        (entry["algorithm"], text)
        for entry in algorithms
        for level in ("fail", "warn")
        for text in entry["notes"].get(level, ())
    }
    return found, {entry["algorithm"] for entry in algorithms}, report


@pytest.mark.parametrize("policy", ["modern", "compatible", "fips"])
async def test_ssh_audit_finds_what_is_explained_and_nothing_else(policy: str) -> None:
    found, offered, report = await audit(policy)
    assert found == {(name, finding) for name, finding in explained() if name in offered}
    assert report["cves"] == []
    assert "kex-strict-s-v00@openssh.com" in offered
    notes = report["additional_notes"]
    assert len(notes) == (policy == "compatible")
    assert all("Terrapin" in note for note in notes)


async def test_each_finding_on_the_page_is_one_of_some_policy() -> None:
    found = set().union(*[(await audit(policy))[0] for policy in ("compatible", "fips")])
    assert explained() == found

"""Partners of a group, in files of YAML as Kubernetes mounts them, on a real server with OpenSSH's client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.processes import wait_until
from tests.cli.mounted_secret import Partners

one_and_two = pytest.mark.parametrize("partners", [1, 2], ids=["one process", "two workers"], indirect=True)

GROUPS = """
groups:
  partners:
    prefix: partners/${user}
    directories: [inbox]
    read_only: %s
"""


@pytest.fixture
def partners(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Partners]:
    """A server whose users are acme and globex, of the group `partners`."""
    made = Partners(tmp_path, request.param)
    mount(made, read_only="no")
    with made.serving():
        yield made


def mount(partners: Partners, read_only: str, **more: str) -> None:
    """Have the group, and each partner in a file; `more` are other files by their names without `.yaml`."""
    files = {"groups": GROUPS % read_only}
    for name in ("acme", "globex"):
        key = partners.public(name).strip()
        files[name] = f"users:\n  {name}:\n    group: partners\n    authorized_keys: {key}\n"
    partners.users.write({f"{name}.yaml": text for name, text in (files | more).items()})


@one_and_two
def test_partners_of_a_group_have_directories_of_their_own_and_change_with_it(partners: Partners) -> None:
    for name in ("acme", "globex"):
        (partners.directory / name).write_text(f"from {name}")
        done = partners.sftp(name, f"put {partners.directory / name} inbox/report.csv\nls -1 inbox\n")
        assert done.returncode == 0, done.stderr
        assert (partners.files / f"partners/{name}/inbox/report.csv").read_text() == f"from {name}"
    assert "globex" not in partners.sftp("acme", "ls -1\ncd ..\nls -1\n").stdout

    mount(partners, read_only="yes")
    told = partners.until_reloaded()
    assert (told["changed"], told["changed_users"]) == (2, ["acme", "globex"])
    changes = partners.server.events("user.changed")
    assert [(each["user"], each["before"], each["after"]) for each in changes] == [
        (name, {"read_only": False}, {"read_only": True}) for name in ("acme", "globex")
    ]
    wait_until(lambda: partners.sftp("acme", "mkdir x\n").returncode != 0, 20, "acme to be read-only")


@one_and_two
def test_one_wrong_line_in_one_file_changes_nobody_and_is_named(partners: Partners) -> None:
    mount(
        partners, read_only="yes", acme="users:\n  acme:\n    group: partnrs\n", globex="users:\n  {user}\n"
    )
    partners.until("config.reload_failed", 2)
    problems = [event["problem"] for event in partners.server.events("config.reload_failed")]
    directory = partners.users.directory
    assert any(f"users.acme.group = 'partnrs' ({directory}/acme.yaml, line 3)" in each for each in problems)
    assert partners.sftp("acme", "mkdir x\n").returncode == 0
    assert partners.sftp("globex", "mkdir x\n").returncode == 0
    mount(partners, read_only="yes")
    partners.until_reloaded()
    wait_until(lambda: partners.sftp("acme", "mkdir y\n").returncode != 0, 20, "acme to be read-only")

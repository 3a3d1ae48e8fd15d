"""`s3sftp users`: what it lists, shows and checks, and what scripts learn from it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import asyncssh
import pytest

from s3sftp.auth import hash_password
from tests.cli.command_process import s3sftp
from tests.support.commands import installed

KEY = asyncssh.generate_private_key("ssh-ed25519")
LINE = KEY.export_public_key().decode().strip()
HASH = hash_password("secret")


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """A directory of files: two partners of groups, and one who has a password."""
    directory = tmp_path / "users"
    directory.mkdir()
    (directory / "groups.yaml").write_text(
        "groups:\n"
        "  all:\n"
        "    directories: [inbox, outbox]\n"
        "    attributes: {tier: standard, tenant: '${user}'}\n"
        "  partners:\n"
        "    group: all\n"
        "    prefix: partners/${user}\n"
        "    attributes: {tier: silver}\n"
    )
    (directory / "acme.yaml").write_text(
        f"users:\n  acme:\n    group: partners\n    authorized_keys: ['{LINE}']\n"
        "    attributes: {tier: gold}\n"
    )
    (directory / "bob.toml").write_text(
        f"[users.bob]\ngroup = 'all'\nread_only = true\npassword_hash = '{HASH}'\n"
    )
    return directory


@pytest.fixture
def config(users: Path) -> Path:
    """A configuration of S3 and other things, which `users` need not be able to use."""
    file = users.parent / "s3sftp.toml"
    file.write_text(
        f"[auth]\nusers_dir = '{users}'\n[users.carol]\nauthorized_keys = ['{LINE}']\n"
        "[ssh]\nhost_keys = ['/no']\n"
    )
    return file


def test_list_is_a_table_of_all_users(config: Path) -> None:
    done = s3sftp("users", "list", "--config", str(config))
    assert done.returncode == 0, done.stderr
    head, *rows = [line.split("  ") for line in done.stdout.splitlines()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in [head, *rows]]
    directory = config.parent / "users"
    assert cells == [
        ["USER", "GROUPS", "PREFIX", "RIGHTS", "KEYS", "PASSWORD", "WHERE"],
        ["acme", "all, partners", "partners/acme/", "all", "1", "no", f"{directory}/acme.yaml, line 2"],
        ["bob", "all", "bob/", "read-only", "0", "yes", f"{directory}/bob.toml, line 1"],
        ["carol", "-", "carol/", "all", "1", "no", f"{config}, line 3"],
    ]


def test_list_as_json_is_for_scripts(users: Path) -> None:
    done = s3sftp("users", "list", str(users), "--json")
    acme, bob = json.loads(done.stdout)
    assert (acme["name"], acme["groups"], acme["prefix"]) == ("acme", ["all", "partners"], "partners/acme/")
    assert acme["keys"] == [f"ssh-ed25519 {KEY.get_fingerprint()}"]
    assert (bob["read_only"], bob["password"], bob["keys"]) == (True, True, [])


def test_show_has_every_option_and_where_it_comes_from(users: Path) -> None:
    done = s3sftp("users", "show", "acme", str(users), "--json")
    options = json.loads(done.stdout)["options"]
    groups, own = f"{users}/groups.yaml", f"{users}/acme.yaml"
    for option, value, source, where in [
        ("group", ["partners"], "user", f"{own}, line 3"),
        ("prefix", "partners/acme/", "group partners", f"{groups}, line 7"),
        ("directories", ["inbox", "outbox"], "group all", f"{groups}, line 3"),
        ("attributes.tier", "gold", "user", f"{own}, line 5"),
        ("attributes.tenant", "acme", "group all", f"{groups}, line 4"),
        ("read_only", False, "default", None),
    ]:
        assert options[option] == {"value": value, "source": source, "where": where}
    lines = s3sftp("users", "show", "acme", str(users)).stdout.splitlines()
    assert lines[0] == f"acme ({own}, line 2)"
    assert any(
        line.split() == ["attributes.tier", '"gold"', "(user,", f"{own},", "line", "5)"] for line in lines
    )


def test_the_fingerprints_are_those_of_ssh_keygen(users: Path, tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_text(LINE + "\n")
    command = [installed("ssh-keygen"), "-l", "-f", str(tmp_path / "key.pub")]
    fingerprint = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[1]
    assert fingerprint in s3sftp("users", "show", "acme", str(users)).stdout


def test_nothing_shows_a_secret(users: Path) -> None:
    private = KEY.export_private_key().decode()
    (users / "eve.yaml").write_text(
        json.dumps({"users": {"eve": {"authorized_keys": [LINE, *private.splitlines()]}}})
    )
    codes = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    (users / "dan.yaml").write_text(
        json.dumps(
            {
                "users": {
                    "dan": {
                        "password_hash": HASH,
                        "totp_secret": codes,
                        "attributes": dict.fromkeys(("api_key", "x-api-key", "pin", "credential"), "hunter2"),
                    }
                }
            }
        )
    )
    for arguments in (
        ["list"],
        ["list", "--json"],
        ["show", "bob"],
        ["show", "bob", "--json"],
        ["show", "eve"],
        ["show", "dan"],
        ["show", "dan", "--json"],
        ["check"],
    ):
        done = s3sftp("users", *arguments, str(users))
        assert done.returncode == 0, done.stderr
        for secret in (HASH, HASH.split("$")[-1], codes, "hunter2", *private.splitlines()[1:-1]):
            assert secret not in done.stdout + done.stderr
    assert "(hidden)" in s3sftp("users", "show", "bob", str(users)).stdout


def test_an_unknown_user_is_told_with_names_that_are_close(users: Path) -> None:
    done = s3sftp("users", "show", "acmee", str(users))
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no user 'acmee'; close to it: acme" in done.stderr


def test_check_accepts_what_the_server_would_accept(config: Path) -> None:
    users = config.parent / "users"
    for arguments in (["--config", str(config)], [str(users)], [*map(str, users.iterdir())]):
        done = s3sftp("users", "check", "--strict", *arguments)
        assert (done.returncode, done.stderr) == (0, ""), arguments
    assert "2 users and 2 groups can be used" in done.stdout


def test_check_lists_every_problem_with_file_and_line_and_fails(users: Path) -> None:
    (users / "eve.yaml").write_text("users:\n  eve:\n    group: partnrs\n  bob:\n    prefx: x\n")
    (users / "broken.toml").write_text("[users.x\n")
    done = s3sftp("users", "check", str(users))
    assert done.returncode == 2
    assert "the configuration has 5 problems" in done.stderr
    for words in (
        "broken.toml is not valid TOML",
        f"users.bob ({users}/eve.yaml, line 4): this user is configured elsewhere too, in {users}/bob.toml",
        f"users.bob.prefx ({users}/eve.yaml, line 5): unknown option; did you mean 'prefix'?",
        f"users.eve.group = 'partnrs' ({users}/eve.yaml, line 3): there is no such group; did you mean",
        f"users.eve cannot log in ({users}/eve.yaml, line 2)",
    ):
        assert words in done.stderr


def test_check_warns_of_what_the_server_would_take_and_fails_for_it_when_it_is_strict(users: Path) -> None:
    (users / "eve.toml").write_text(
        f"[users.eve]\nauthorized_keys = [\n'{LINE}',\n'not a key']\n[groups.x]\n"
    )
    (users / "dan.toml").write_text("[users.dan]\nauthorized_keys = ['not a key']\n")
    done = s3sftp("users", "check", str(users))
    assert done.returncode == 0
    assert f"eve: authorized_keys, line 2 ({users}/eve.toml, line 4)" in done.stdout
    assert "dan cannot log in" in done.stdout
    assert f"x ({users}/eve.toml, line 5): no user has it" in done.stdout
    assert s3sftp("users", "check", "--strict", str(users)).returncode == 1


def test_a_file_of_the_configuration_may_be_named_again_and_a_new_one_is_checked_with_it(
    config: Path,
) -> None:
    acme, new = config.parent / "users/acme.yaml", config.parent / "new.yaml"
    assert s3sftp("users", "check", "--config", str(config), str(acme)).returncode == 0
    new.write_text(f"users: {{zed: {{group: partners, authorized_keys: '{LINE}'}}}}\n")
    assert "there is no such group" in s3sftp("users", "check", str(new)).stderr
    done = s3sftp("users", "check", "--config", str(config), str(new))
    assert (done.returncode, "4 users and 2 groups" in done.stdout) == (0, True)


def test_files_alone_are_all_that_counts_without_a_configuration(users: Path) -> None:
    done = s3sftp("users", "list", str(users), "--json", S3SFTP_USERS__eve__AUTHORIZED_KEYS=LINE)
    assert [user["name"] for user in json.loads(done.stdout)] == ["acme", "bob"]
    done = s3sftp("users", "list", "--json", S3SFTP_USERS__eve__AUTHORIZED_KEYS=LINE)
    assert [user["name"] for user in json.loads(done.stdout)] == ["eve"]


def test_nothing_to_look_at_is_an_error_and_an_empty_directory_is_not(tmp_path: Path) -> None:
    done = s3sftp("users", "list")
    assert (done.returncode, "give FILES of users, or --config" in done.stderr) == (2, True)
    assert s3sftp("users", "check", str(tmp_path)).returncode == 0
    assert s3sftp("users", "check", str(tmp_path / "no")).returncode == 2

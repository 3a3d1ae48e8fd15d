"""Exports that are malformed or hostile: an error with the place, never a traceback, never a wrong file."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.config.yaml_text import parse_yaml
from s3sftp.errors import ConfigurationError
from s3sftp.migration.findings import FindingKind, ImportedUser, ImportFinding
from s3sftp.migration.sftpgo import SftpgoOptions, import_sftpgo
from s3sftp.migration.transfer_family import TransferFamilyOptions, import_transfer_family
from s3sftp.migration.user_files import document, write_files
from tests.cli.command_process import s3sftp

USER = '{"username": "a", "status": 1, "permissions": {"/": ["*"]}}'
SFTPGO = [
    ('{"users": [', "line 1, column 12"),
    ("[]", "should be one JSON object"),
    ("{} {}", "should be one JSON object"),
    ("", "is empty"),
    ("{}", "users: there are none"),
    ('{"users": 1}', "users = 1"),
    ('{"users": [1]}', "users[0] = 1"),
    ('{"users": [{}]}', "users[0].username is missing"),
    ('{"users": [{"username": "a", "status": "1"}]}', "users[0].status = '1'"),
    (f'{{"users": [{USER}, {USER}]}}', "users[1].username = 'a': users[0] has it too"),
    ('{"users": [{"username": "a", "status": 0, "status": 1}]}', '"status" is twice'),
    ('{"users": [{"username": "a\\u0000b"}]}', "users[0].username"),
    ('{"users": [{"username": "a", "password": 12345}]}', "users[0].password = (hidden)"),
    ('{"users": [{"username": "a\\u001b[2J"}]}', "users[0].username"),
    ('{"users": [{"username": "\\ud800"}]}', "users[0].username"),
    (f'{{"users": [{{"username": "a", "status": {10**30}}}]}}', "users[0].status"),
    (f'{{"users": [{{"username": "a", "status": {"9" * 5000}}}]}}', "not usable JSON"),
    ('{"users": [{"username": "a", "expiration_date": 1e999}]}', "users[0].expiration_date"),
    ('{"users": [{"username": "a", "status": NaN}]}', "NaN is not a number"),
    ('{"users": [{"username": "a", "groups": [{"name": "g", "type": 9}]}]}', "users[0].groups[0].type"),
    ('{"users": [{"username": "a", "permissions": {"/\\n": ["*"]}}]}', 'users[0].permissions."/\\n"'),
    ("[" * 200_000, "nested too deeply"),
    ('{"users": [{"username": "a", "x": ' + "[" * 500 + "]" * 500 + "}]}", "nested too deeply"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "place"), SFTPGO, ids=range(len(SFTPGO)))
def test_a_malformed_export_of_sftpgo_is_an_error_with_its_place(
    text: str, place: str, tmp_path: Path
) -> None:
    file = tmp_path / "export.json"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as error:
        import_sftpgo(file, SftpgoOptions())
    assert place in str(error.value)
    assert str(error.value).isprintable() or len(error.value.problems) > 1


TRANSFER_FAMILY = [
    ("{}", "should have User, Users or Server"),
    ("3", "3"),
    ('{"User": []}', "User"),
    ('{"User": {"UserName": "a"}}', "User.Arn is missing"),
    ('{"Users": []}', "there are no users"),
    ('[{"User": {"Arn": "a/b", "SshPublicKeys": [{}]}}]', "[0].User.SshPublicKeys[0].SshPublicKeyBody is"),
    ('{"User": {"Arn": "a/b", "SshPublicKeys": 5}}', "User.SshPublicKeys = 5"),
    ('{"User": {"Arn": "a/b", "HomeDirectoryType": "X"}}', "User.HomeDirectoryType = 'X'"),
    ('{"User": {"Arn": "a/b", "HomeDirectory": "/b/\\u0000"}}', "User.HomeDirectory"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "place"), TRANSFER_FAMILY, ids=range(len(TRANSFER_FAMILY)))
def test_a_malformed_output_of_aws_is_an_error_with_its_place(text: str, place: str, tmp_path: Path) -> None:
    file = tmp_path / "users.json"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as error:
        import_transfer_family(file, TransferFamilyOptions())
    assert place in str(error.value)


def test_the_command_ends_with_a_line_for_each_error_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "export.json").write_bytes(b'{"users": [{"username": 1}, {"username": "\\u0007"}]}')
    done = s3sftp("import", "sftpgo", str(tmp_path / "export.json"), "--output", str(tmp_path / "users.toml"))
    assert done.returncode == 2
    assert "users[0].username" in done.stderr
    assert "users[1].username" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "users.toml").exists()
    for file in (tmp_path / "missing.json", tmp_path):
        done = s3sftp("import", "transfer-family", str(file))
        assert (done.returncode, "cannot read" in done.stderr) == (2, True)
    (tmp_path / "export.json").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in s3sftp("import", "sftpgo", str(tmp_path / "export.json")).stderr


def test_a_file_that_exists_is_never_overwritten_and_then_none_is_written(tmp_path: Path) -> None:
    kept = tmp_path / "b.toml"
    kept.write_text("mine")
    with pytest.raises(ConfigurationError, match="it exists"):
        write_files([(tmp_path / "a.toml", "new"), (kept, "new")])
    assert kept.read_text() == "mine"
    assert not (tmp_path / "a.toml").exists()


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
rules = st.dictionaries(
    st.sampled_from(["rights", "prefix"]), st.lists(texts, max_size=3) | texts, min_size=1
)


names = texts.filter(lambda text: text not in ("paths", "mounts"))
values = texts | st.booleans() | st.integers(0, 2**63)


@given(
    st.dictionaries(names, values, max_size=4), st.dictionaries(texts, rules, min_size=1, max_size=3), texts
)
def test_both_forms_of_a_file_say_exactly_what_the_table_says(
    table: dict[str, object], paths: dict[str, dict[str, object]], reason: str
) -> None:
    whole = {**table, "paths": paths}
    users = [ImportedUser("a-b@c", whole, (ImportFinding(FindingKind.DISABLED, "field", reason),))]
    assert tomllib.loads(document(users, "toml")) == {"users": {"a-b@c": whole}}
    assert parse_yaml(document(users, "yaml")) == {"users": {"a-b@c": whole}}


def test_an_export_of_many_users_takes_seconds(tmp_path: Path) -> None:
    users = [
        {"username": f"u{number}", "status": 1, "permissions": {"/": ["list"]}, "public_keys": []}
        for number in range(3000)
    ]
    (tmp_path / "export.json").write_text(json.dumps({"users": users}))
    assert len(import_sftpgo(tmp_path / "export.json", SftpgoOptions()).users) == 3000

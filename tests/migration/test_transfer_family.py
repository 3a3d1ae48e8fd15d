"""Users of AWS Transfer Family, in outputs that AWS's own model of the service accepts."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape
from botocore.validate import ParamValidator

from s3sftp.errors import ConfigurationError
from s3sftp.migration.findings import Imported, ImportedUser
from s3sftp.migration.transfer_family import TransferFamilyOptions, import_transfer_family
from s3sftp.migration.user_files import document
from tests.cli.command_process import batch, s3sftp, sftp_command, write_key_pair
from tests.migration.test_sftpgo import serving

MODEL = ServiceModel(Loader().load_service_model("transfer", "service-2"))
ACCOUNT = "arn:aws:transfer:eu-central-1:111122223333"
ROLE = "arn:aws:iam::111122223333:role/partners"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC+CUgIHS3tp/pEApLUTlhDHA4j7sTh2QphyjzBWMvgp"
SERVER = "s-01234567890abcdef"


def described(name: str = "acme", **more: Any) -> dict[str, Any]:
    given = {
        "Arn": f"{ACCOUNT}:user/{SERVER}/{name}",
        "HomeDirectory": f"/partners/{name}",
        "HomeDirectoryType": "PATH",
        "Role": ROLE,
        "SshPublicKeys": [
            {
                "DateImported": "2026-03-01T10:00:00.000000+00:00",
                "SshPublicKeyBody": KEY,
                "SshPublicKeyId": "key-01234567890abcdef",
            }
        ],
        "Tags": None,
        "UserName": name,
    }
    user = {field: value for field, value in (given | more).items() if value is not None}
    return valid("DescribeUserResponse", {"ServerId": SERVER, "User": user})


def logical(*mappings: tuple[str, str], **more: Any) -> dict[str, Any]:
    entries = [{"Entry": entry, "Target": target} for entry, target in mappings]
    return described(HomeDirectory=None, HomeDirectoryType="LOGICAL", HomeDirectoryMappings=entries, **more)


def valid(shape: str, output: dict[str, Any]) -> dict[str, Any]:
    """The output, which the service could have sent."""
    report = ParamValidator().validate(output, MODEL.shape_for(shape))
    assert not report.has_errors(), report.generate_report()
    check_patterns(output, MODEL.shape_for(shape))
    return output


def check_patterns(value: Any, shape: Shape) -> None:
    """What the validator leaves to the service."""
    if shape.type_name == "structure":
        for name, each in value.items():
            check_patterns(each, shape.members[name])
    elif shape.type_name == "list":
        for each in value:
            check_patterns(each, shape.member)
    elif shape.type_name == "string":
        assert re.fullmatch(shape.metadata.get("pattern", "[\\s\\S]*"), value), (shape.name, value)
        assert value in getattr(shape, "enum", []) or not shape.enum, (shape.name, value)


def imported(tmp_path: Path, *outputs: object, **options: Any) -> Imported:
    file = tmp_path / "users.json"
    file.write_text("\n".join(json.dumps(output, indent=4) for output in outputs))
    ignored = frozenset(options.pop("ignored", ()))
    return import_transfer_family(file, TransferFamilyOptions(ignored=ignored, **options))


def one(tmp_path: Path, output: dict[str, Any], **options: Any) -> ImportedUser:
    (found,) = imported(tmp_path, output, **options).users
    return found


def reasons(found: ImportedUser) -> list[str]:
    """Where the reasons are; the file itself has to say that the user is disabled."""
    if found.table is not None:
        written = tomllib.loads(document([found], "toml"))["users"][found.name]
        assert written.get("disabled", False) is bool(found.reasons)
    return [each.field for each in found.reasons]


def test_a_home_directory_becomes_the_prefix(tmp_path: Path) -> None:
    found = one(tmp_path, described(Tags=[{"Key": "team", "Value": "sales"}]))
    assert found.table == {"authorized_keys": [KEY], "prefix": "acme/"}
    told = {(each.kind, each.field) for each in found.findings if each.kind != "internal"}
    assert told == {("narrower", "HomeDirectory"), ("left-out", "Tags")}


def test_logical_directories_become_mounts(tmp_path: Path) -> None:
    output = logical(
        ("/in", "/partners/acme/in"),
        ("/out", "/partners/${transfer:UserName}/out/"),
        ("/rates.csv", "/partners/r.csv"),
    )
    output["User"]["HomeDirectoryMappings"][2]["Type"] = "FILE"
    found = one(tmp_path, valid("DescribeUserResponse", output))
    assert {each.kind for each in found.findings} == {"internal"}
    assert found.table == {
        "authorized_keys": [KEY],
        "mounts": {
            "/in": {"prefix": "acme/in/"},
            "/out": {"prefix": "acme/out/"},
            "/rates.csv": {"prefix": "r.csv", "file": True},
        },
    }
    root = one(tmp_path, logical(("/", "/partners/acme"), ("/shared", "/partners/shared")))
    assert root.table is not None
    assert root.table["prefix"] == "acme/"
    assert root.table["mounts"] == {"/shared": {"prefix": "shared/"}}


@pytest.mark.parametrize(
    ("field", "output"),
    [
        ("Policy", described(Policy='{"Version":"2012-10-17","Statement":[]}')),
        ("PosixProfile", described(PosixProfile={"Uid": 1000, "Gid": 1000})),
        ("HomeDirectory", described(HomeDirectory="/")),
        ("HomeDirectory", described(HomeDirectory=None, HomeDirectoryType=None)),
        ("HomeDirectory", described(HomeDirectory="/partners/a/../../b")),
        ("HomeDirectory", described(HomeDirectory="/partners//b")),
        ("HomeDirectoryMappings", described(HomeDirectory=None, HomeDirectoryType="LOGICAL")),
        ("", described(SshPublicKeys=[])),
    ],
)
def test_what_cannot_be_honoured_disables_the_user(
    field: str, output: dict[str, Any], tmp_path: Path
) -> None:
    assert field in reasons(one(tmp_path, output))


def test_a_target_in_another_bucket_disables_the_user(tmp_path: Path) -> None:
    output = logical(("/in", "/partners/in"), ("/out", "/another/out"))
    with pytest.raises(ConfigurationError, match="--bucket"):
        imported(tmp_path, output)
    found = one(tmp_path, output, bucket="partners")
    assert reasons(found) == ["HomeDirectoryMappings[1].Target"]
    assert reasons(one(tmp_path, described(), bucket="another")) == ["HomeDirectory"]


def test_an_unknown_field_may_be_a_restriction(tmp_path: Path) -> None:
    output = described()
    output["User"]["FieldOfTheFuture"] = "x"
    assert reasons(one(tmp_path, output)) == ["FieldOfTheFuture"]


def test_the_mounts_of_users_with_different_roles_have_their_roles(tmp_path: Path) -> None:
    other = f"{ROLE}-read-only"
    second = logical(("/", "/partners/globex"), ("/in", "/partners/in"), UserName="globex", Role=other)
    found = imported(tmp_path, described(), second)
    assert [user.outcome for user in found.users] == ["imported", "imported"]
    tables = [user.table or {} for user in found.users]
    assert [table.get("prefix") for table in tables] == [None, None]
    assert [table["mounts"] for table in tables] == [
        {"/": {"prefix": "acme/", "role_arn": ROLE}},
        {"/": {"prefix": "globex/", "role_arn": other}, "/in": {"prefix": "in/", "role_arn": other}},
    ]
    told = [each.text for each in found.general if each.field == "Role"]
    assert [text.partition(": list it")[0] for text in told] == [ROLE, other]
    assert all("s3.mount_roles" in text and "transfer.amazonaws.com" in text for text in told)


def test_the_server_accepts_the_roles_that_the_report_lists_and_no_others(tmp_path: Path) -> None:
    second = described("globex", Role=f"{ROLE}-read-only")
    found = imported(tmp_path, described(), second)
    (tmp_path / "users.toml").write_text(document(found.users, "toml"))
    roles = [each.text.partition(": list it")[0] for each in found.general if each.field == "Role"]
    config = tmp_path / "config.toml"
    for allowed in (roles, roles[:1]):
        lines = f"bucket = 'partners'\nmount_roles = {allowed}\n[auth]\nusers_file = '{tmp_path}/users.toml'"
        config.write_text(f"[s3]\n{lines}\n")
        done = s3sftp("users", "check", "--config", str(config))
        assert (done.returncode == 0) is (allowed == roles), done.stdout + done.stderr
    assert "s3.mount_roles does not have this role" in done.stdout + done.stderr


def test_a_role_that_is_none_disables_the_user_if_others_have_another(tmp_path: Path) -> None:
    strange = "arn:aws:iam::111122223333:role/path!/partners"
    found = imported(tmp_path, described(), described("globex", Role=strange))
    assert [reasons(user) for user in found.users] == [[], ["Role"]]


def test_the_operator_may_ignore_that_users_have_different_roles(tmp_path: Path) -> None:
    second = described("globex", Role=f"{ROLE}-read-only")
    found = imported(tmp_path, described(), second, ignored=["role"])
    assert [user.outcome for user in found.users] == ["imported", "imported"]
    assert [(user.table or {}).get("prefix") for user in found.users] == ["acme/", "globex/"]
    assert {each.kind for user in found.users for each in user.findings} - {"internal"} == {
        "accepted",
        "narrower",
    }


def test_a_policy_may_be_ignored(tmp_path: Path) -> None:
    assert one(tmp_path, described(Policy="{}"), ignored=["policy"]).outcome == "imported"


def test_the_server_tells_what_holds_for_all(tmp_path: Path) -> None:
    arn = f"{ACCOUNT}:server/{SERVER}"
    server = {"Arn": arn, "ServerId": SERVER, "Protocols": ["SFTP"], "Domain": "S3"}
    on_s3 = valid("DescribeServerResponse", {"Server": server})
    assert imported(tmp_path, on_s3, described()).is_complete
    for change in ({"Domain": "EFS"}, {"Protocols": ["FTPS"]}):
        output = valid("DescribeServerResponse", {"Server": server | change})
        assert [user.outcome for user in imported(tmp_path, output, described()).users] == ["disabled"]


def test_a_listed_user_without_a_description_is_named(tmp_path: Path) -> None:
    listed = [
        {"Arn": f"{ACCOUNT}:user/{SERVER}/{name}", "UserName": name, "SshPublicKeyCount": 1}
        for name in ("acme", "globex")
    ]
    output = valid("ListUsersResponse", {"ServerId": SERVER, "Users": listed})
    outcomes = {user.name: user.outcome for user in imported(tmp_path, output, described()).users}
    assert outcomes == {"acme": "imported", "globex": "not-written"}


def test_outputs_may_be_a_list_or_users_alone(tmp_path: Path) -> None:
    found = imported(tmp_path, [described(), described("globex")])
    assert [user.name for user in found.users] == ["acme", "globex"]
    assert [user.name for user in imported(tmp_path, described()["User"]).users] == ["acme"]


def test_a_user_twice_and_two_servers_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"value 2\.User: the user 'acme' is also at value 1\.User"):
        imported(tmp_path, described(), described())
    other = described("globex") | {"ServerId": "s-fedcba98765432100"}
    with pytest.raises(ConfigurationError, match="several servers"):
        imported(tmp_path, described(), other)


def test_openssh_logs_in_as_an_imported_user(tmp_path: Path) -> None:
    write_key_pair(tmp_path / "key")
    body = (tmp_path / "key.pub").read_text().strip()
    output = logical(("/in", "/partners/acme/in"), ("/out", "/partners/acme/out"))
    output["User"]["SshPublicKeys"][0]["SshPublicKeyBody"] = body
    (tmp_path / "users.json").write_text(json.dumps(valid("DescribeUserResponse", output)))
    target = ("--format", "yaml", "--output", str(tmp_path / "users.yaml"))
    done = s3sftp("import", "transfer-family", str(tmp_path / "users.json"), *target)
    assert done.returncode == 0, done.stderr
    assert "1 imported, 0 written disabled, 0 not written" in done.stderr
    with serving(tmp_path / "users.yaml", tmp_path) as server:
        command = sftp_command(server.port, tmp_path / "key", user="acme")
        put = batch(command, f"put {tmp_path}/key.pub in/x\nls\n")
        assert put.returncode == 0, put.stderr
        assert {"in", "out"} <= set(put.stdout.split())
    assert (tmp_path / "files/acme/in/x").exists()

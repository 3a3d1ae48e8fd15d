"""Each field of SFTPGo that restricts a user: carried over, or the user is disabled."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from s3sftp.app.options import load_options
from s3sftp.auth import Accounts, read_logins
from s3sftp.errors import ConfigurationError
from s3sftp.migration.findings import Imported, ImportedUser
from s3sftp.migration.sftpgo import SftpgoOptions, import_sftpgo
from s3sftp.migration.user_files import Format, document, documents

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC+CUgIHS3tp/pEApLUTlhDHA4j7sTh2QphyjzBWMvgp acme"
HASH = "$2a$10$4QqxWskT3y0khYZRHStqre/osr8zh8f.eioLiq.QEwrjKGp9Jz8ky"


def storage(prefix: str = "acme/", bucket: str = "b", **more: Any) -> dict[str, Any]:
    return {"provider": 1, "s3config": {"bucket": bucket, "key_prefix": prefix, **more}}


def user(name: str = "acme", **more: Any) -> dict[str, Any]:
    given = {
        "username": name,
        "status": 1,
        "public_keys": [KEY],
        "permissions": {"/": ["*"]},
        "filesystem": storage(f"{name}/"),
    }
    return given | more


def imported(tmp_path: Path, *users: dict[str, Any], **more: Any) -> Imported:
    options = more.pop("options", SftpgoOptions(bucket="b"))
    file = tmp_path / "export.json"
    file.write_text(json.dumps({"users": list(users), **more}))
    return import_sftpgo(file, options)


def one(tmp_path: Path, **fields: Any) -> ImportedUser:
    (found,) = imported(tmp_path, user(**fields)).users
    return found


def table(found: ImportedUser) -> dict[str, Any]:
    assert found.table is not None, found.findings
    return found.table


def fields_that_disable(found: ImportedUser) -> list[str]:
    """Where the reasons are; the file itself has to say that the user is disabled."""
    written = tomllib.loads(document([found], "toml"))["users"][found.name]
    assert written.get("disabled", False) is bool(found.reasons)
    return [each.field for each in found.reasons]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("upload_bandwidth", 15),
        ("download_bandwidth", 1),
        ("upload_data_transfer", 1),
        ("download_data_transfer", 1),
        ("total_data_transfer", 1),
        ("filters.bandwidth_limits", [{"sources": ["192.0.2.0/24"], "upload_bandwidth": 1}]),
        ("filters.denied_protocols", ["SSH"]),
        ("filters.two_factor_protocols", ["SSH"]),
        ("filters.is_anonymous", True),
        ("filters.a_filter_of_the_future", ["SSH"]),
        ("a_field_of_the_future", 1),
        ("filesystem", {"provider": 0}),
        ("filesystem", {"provider": 2}),
        ("filesystem.s3config", storage(bucket="another")),
        ("filesystem.s3config", storage("../escape/")),
        ("filesystem.s3config", storage("/acme/")),
        ("filesystem.s3config.an_option_of_the_future", storage(an_option_of_the_future="x")),
        ('permissions."/a*"', {"/": ["*"], "/a*": ["list"]}),
        ('permissions."/"', {"/": ["download"]}),
        ("permissions", {"/in": ["*"]}),
    ],
)
def test_a_restriction_without_equivalent_disables_the_user(field: str, value: Any, tmp_path: Path) -> None:
    top, _, inner = field.partition(".")
    is_filter = top == "filters"
    found = one(tmp_path, **({top: {inner: value}} if is_filter else {top: value}))
    assert field in fields_that_disable(found), found.findings


@pytest.mark.parametrize(
    ("field", "value", "limit", "narrower"),
    [
        ("max_sessions", 3, {"max_sessions": 3}, []),
        ("upload_bandwidth", 512, {"upload_bytes_per_second": 512 * 1024}, ["upload_bandwidth"]),
        ("download_bandwidth", 16, {"download_bytes_per_second": 16 * 1024}, ["download_bandwidth"]),
    ],
)
def test_a_limit_with_an_equivalent_is_carried_over(
    field: str, value: int, limit: dict[str, int], narrower: list[str], tmp_path: Path
) -> None:
    found = one(tmp_path, **{field: value})
    assert table(found)["limits"] == limit
    assert not found.reasons
    assert [each.field for each in found.findings if each.kind == "narrower"] == narrower


@pytest.mark.parametrize(
    ("filters", "options"),
    [
        ({"allowed_ip": ["192.0.2.7/24"]}, {"networks": ["192.0.2.0/24"]}),
        ({"denied_ip": ["192.0.2.0/24"]}, {"networks": ["0.0.0.0/0", "::/0", "!192.0.2.0/24"]}),
        (
            {"allowed_ip": ["192.0.2.0/24"], "denied_ip": ["192.0.2.9/32"]},
            {"networks": ["192.0.2.0/24", "!192.0.2.9/32"]},
        ),
        ({"max_upload_file_size": 1000}, {"max_file_bytes": 1000}),
        ({"access_time": [{"from": "07:00", "to": "18:59"}]}, {"hours": ["Sun 07:00-19:00 UTC"]}),
        (
            {"access_time": [{"day_of_week": 6, "from": "00:00", "to": "23:59"}]},
            {"hours": ["Sat 00:00-24:00 UTC"]},
        ),
        ({"denied_login_methods": ["publickey"]}, {"methods": ["password"]}),
        ({"denied_login_methods": ["password", "keyboard-interactive"]}, {"methods": ["publickey"]}),
        ({"denied_login_methods": ["password-over-SSH", "keyboard-interactive"]}, {"methods": ["publickey"]}),
        (
            {"denied_login_methods": ["publickey", "password", "keyboard-interactive"]},
            {"methods": ["publickey+password"]},
        ),
        ({"denied_protocols": ["FTP", "DAV", "HTTP"]}, {}),
    ],
)
def test_a_restriction_with_an_equivalent_is_carried_over(
    filters: dict[str, Any], options: dict[str, Any], tmp_path: Path
) -> None:
    found = one(tmp_path, filters=filters, password=HASH)
    assert fields_that_disable(found) == []
    base = {"authorized_keys": [KEY], "password_hash": HASH, "prefix": "acme/", "rights": "read-write"}
    expected = base | options
    if expected.get("methods") == ["publickey"]:
        del expected["password_hash"]
    assert table(found) == expected


def test_a_disabled_user_stays_disabled_and_an_expiry_stays(tmp_path: Path) -> None:
    found = one(tmp_path, status=0, expiration_date=1767225600000)
    assert found.outcome == "imported"
    assert table(found)["disabled"] is True
    assert table(found)["expires"] == "2026-01-01T00:00:00Z"
    assert table(one(tmp_path, expiration_date=2**63 - 1))["expires"].startswith("9999-")


def test_login_methods_that_all_are_denied_disable_the_user(tmp_path: Path) -> None:
    every = ["publickey", "password", "keyboard-interactive", "publickey+password"]
    found = one(
        tmp_path, filters={"denied_login_methods": [*every, "publickey+keyboard-interactive"]}, password=HASH
    )
    assert "filters.denied_login_methods" in fields_that_disable(found)


def test_a_password_that_needs_a_code_whose_secret_is_encrypted_is_left_out(tmp_path: Path) -> None:
    totp = {"enabled": True, "protocols": ["SSH"], "secret": {"status": "Secretbox", "payload": "c2VjcmV0"}}
    found = one(tmp_path, filters={"totp_config": totp}, password=HASH)
    assert table(found)["methods"] == ["publickey"]
    assert "password_hash" not in table(found)
    without_key = one(tmp_path, filters={"totp_config": totp}, password=HASH, public_keys=[])
    assert without_key.outcome == "disabled"


def test_a_typed_secret_of_codes_is_carried_over(tmp_path: Path) -> None:
    secret = {"status": "Plain", "payload": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"}
    totp = {"enabled": True, "config_name": "Default", "protocols": ["SSH"], "secret": secret}
    found = table(one(tmp_path, filters={"totp_config": totp}, password=HASH))
    assert found["methods"] == ["publickey", "password+totp"]
    assert found["totp_secret"] == secret["payload"]


@pytest.mark.parametrize("field", [{"require_password_change": True}, {"password_expiration": 90}])
def test_a_password_that_has_to_be_changed_is_left_out(field: dict[str, Any], tmp_path: Path) -> None:
    found = one(tmp_path, filters=field, password=HASH)
    assert "password_hash" not in table(found)
    assert found.outcome == "imported"


def test_a_user_with_a_password_alone_expires_with_it(tmp_path: Path) -> None:
    found = one(
        tmp_path,
        filters={"password_expiration": 1},
        password=HASH,
        public_keys=[],
        last_password_change=1767225600000,
    )
    assert table(found)["expires"] == "2026-01-02T00:00:00Z"


@pytest.mark.parametrize(
    "key",
    [
        f"{KEY}\n{KEY}",
        f"cert-authority {KEY}",
        f'from="192.0.2.1" {KEY}',
        "ssh-ed25519 AAAA",
        f"{KEY} {{user}}",
        f"{KEY}\x00",
    ],
)
def test_a_key_that_would_mean_more_here_is_left_out(key: str, tmp_path: Path) -> None:
    found = one(tmp_path, public_keys=[key], password=HASH)
    assert "authorized_keys" not in table(found)
    assert any(each.field == "public_keys[0]" for each in found.findings)


@pytest.mark.parametrize("weak", ["{MD5}1f3870be274f6c49b3e31a0c6728957f", "$1$abc$def", "plain text"])
def test_a_hash_that_is_not_accepted_is_left_out_and_never_shown(weak: str, tmp_path: Path) -> None:
    found = one(tmp_path, password=weak)
    assert "password_hash" not in table(found)
    assert weak not in str([str(each) for each in found.findings])


@pytest.mark.parametrize(
    ("pattern", "options"),
    [
        ({"denied_patterns": ["*.exe"], "deny_policy": 1}, {"hide": ["*.exe"]}),
        ({"denied_patterns": ["*.exe"]}, {"hide": ["*.exe"]}),
        ({"allowed_patterns": ["*.csv"]}, {"allow": ["*.csv"]}),
        ({"allowed_patterns": ["*.csv"], "denied_patterns": ["*"]}, {"allow": ["*.csv"]}),
    ],
)
def test_patterns_become_rules(pattern: dict[str, Any], options: dict[str, Any], tmp_path: Path) -> None:
    found = one(tmp_path, filters={"file_patterns": [{"path": "/", **pattern}]})
    assert fields_that_disable(found) == []
    rights = table(found)["rights"]
    assert options.items() <= table(found).items()
    assert ("mkdir" in rights or rights == "read-write") is ("allow" not in options)


@pytest.mark.parametrize(
    "pattern",
    [
        {"denied_patterns": ["[^a]*"]},
        {"denied_patterns": ["a\\*"]},
        {"allowed_patterns": ["*.csv"], "deny_policy": 1},
        {"denied_patterns": ["*.exe"], "a_policy_of_the_future": 1},
    ],
)
def test_patterns_that_mean_something_else_here_disable_the_user(
    pattern: dict[str, Any], tmp_path: Path
) -> None:
    assert one(tmp_path, filters={"file_patterns": [{"path": "/", **pattern}]}).outcome == "disabled"


def test_what_the_operator_ignores_is_reported_and_the_user_enabled(tmp_path: Path) -> None:
    options = SftpgoOptions(bucket="b", ignored=frozenset({"transfer"}))
    (found,) = imported(tmp_path, user(total_data_transfer=5), options=options).users
    assert found.outcome == "imported"
    assert [(each.kind, each.field) for each in found.findings] == [("accepted", "total_data_transfer")]


def test_quotas_of_users_and_folders_are_carried_over(tmp_path: Path) -> None:
    def folder(**quotas: int) -> list[dict[str, Any]]:
        return [{"name": "x", "virtual_path": "/x", "filesystem": storage("x/"), **quotas}]

    found = one(tmp_path, quota_size=1 << 30, quota_files=7, virtual_folders=folder(quota_size=5))
    assert found.outcome == "imported", found.findings
    assert table(found)["quota"] == {"bytes": 1 << 30, "files": 7}
    assert table(found)["mounts"] == {"/x": {"prefix": "x/", "quota": {"bytes": 5}}}
    unlimited = one(tmp_path, virtual_folders=folder(quota_size=-1, quota_files=-1))
    assert "quota" not in table(unlimited)
    assert table(unlimited)["mounts"] == {"/x": {"prefix": "x/"}}
    for quotas in ({"quota_size": -1}, {"quota_files": -1}):
        shared = one(tmp_path, quota_size=5, quota_files=5, virtual_folders=folder(**quotas))
        assert fields_that_disable(shared) == ["virtual_folders[0].quota_size"]


def test_groups_are_merged_as_sftpgo_merges_them(tmp_path: Path) -> None:
    primary = {
        "name": "partners",
        "user_settings": {
            "filesystem": storage("partners/%username%/"),
            "permissions": {"/": ["list"], "/%username%": ["*"]},
            "max_sessions": 0,
            "filters": {"allowed_ip": ["192.0.2.0/24"], "max_upload_file_size": 7},
        },
    }
    secondary = {
        "name": "readers",
        "user_settings": {"permissions": {"/": ["*"], "/in": ["list", "download"], "/acme": ["list"]}},
        "virtual_folders": [
            {"name": "rates", "virtual_path": "/rates"},
            {"name": "rates", "virtual_path": "/", "subpath": "/x"},
        ],
    }
    given = user(
        permissions={"/": ["*"], "/in": ["*"]},
        filters={"allowed_ip": ["198.51.100.0/24"]},
        groups=[{"name": "readers", "type": 2}, {"name": "partners", "type": 1}, {"name": "news", "type": 3}],
    )
    folders = [{"name": "rates", "filesystem": storage("rates/")}]
    groups = [primary, secondary, {"name": "news", "user_settings": {"quota_size": 1}}]
    (found,) = imported(tmp_path, given, groups=groups, folders=folders).users
    assert found.outcome == "imported", found.findings
    assert table(found) == {
        "authorized_keys": [KEY],
        "networks": ["198.51.100.0/24", "192.0.2.0/24"],
        "prefix": "partners/acme/",
        "max_file_bytes": 7,
        "rights": ["list"],
        "directories": ["acme", "in"],
        "paths": {"/acme": {"rights": "read-write"}, "/in": {"rights": "read-write"}},
        "mounts": {"/rates": {"prefix": "rates/"}},
    }


PARTNERS = {
    "name": "partners",
    "user_settings": {
        "filesystem": storage("partners/%username%/"),
        "permissions": {"/": ["list", "download"], "/%username%": ["*"]},
        "filters": {"max_upload_file_size": 7},
    },
    "virtual_folders": [{"name": "rates", "virtual_path": "/rates", "subpath": "%username%"}],
}
RATES = [{"name": "rates", "filesystem": storage("rates/")}]
IN_PARTNERS: dict[str, Any] = {"groups": [{"name": "partners", "type": 1}], "permissions": {}}


def test_users_of_a_group_share_what_they_have_in_common(tmp_path: Path) -> None:
    users = [user(name, **IN_PARTNERS) for name in ("acme", "globex")]
    users.append(user("hooli", **IN_PARTNERS, max_sessions=3, filters={"allowed_ip": ["192.0.2.0/24"]}))
    users.append(user("alone"))
    found = imported(tmp_path, *users, groups=[PARTNERS], folders=RATES)
    (group,) = found.groups
    assert group.name == "partners"
    assert group.table == {
        "prefix": "partners/${user}/",
        "max_file_bytes": 7,
        "rights": "read-only",
        "directories": ["${user}"],
        "mounts": {"/rates": {"prefix": "rates/${user}/"}},
    }
    tables = {each.name: table(each) for each in found.users}
    assert tables["acme"]["group"] == "partners"
    assert "prefix" not in tables["acme"]
    assert tables["acme"]["paths"] == {"/acme": {"rights": "read-write"}}
    assert tables["hooli"]["networks"] == ["192.0.2.0/24"]
    assert "group" not in tables["alone"]


@pytest.mark.parametrize("form", ["toml", "yaml"])
def test_users_in_groups_are_those_with_complete_tables(form: Format, tmp_path: Path) -> None:
    users = [user(name, **IN_PARTNERS) for name in ("acme", "globex")]
    found = imported(tmp_path, *users, groups=[PARTNERS], folders=RATES)
    complete = [imported(tmp_path, each, groups=[PARTNERS], folders=RATES) for each in users]
    assert [each.groups for each in complete] == [(), ()]
    for name in ("complete", "one", "several"):
        (tmp_path / name).mkdir()
    (tmp_path / "complete" / f"all.{form}").write_text(document([each.users[0] for each in complete], form))
    (tmp_path / "one" / f"all.{form}").write_text(document(found.users, form, found.groups))
    for name, text in documents(found, form).items():
        (tmp_path / "several" / name).write_text(text)

    def accounts(users: Path) -> Accounts:
        config = tmp_path / "s3sftp.toml"
        config.write_text(f"backend = 'memory'\n[auth]\nusers_dir = '{users}'\n")
        return read_logins(load_options(config, {}).users).accounts

    expected = accounts(tmp_path / "complete")
    assert expected["acme"].identity.prefix == "partners/acme/"
    assert accounts(tmp_path / "one") == expected
    assert accounts(tmp_path / "several") == expected


@pytest.mark.parametrize(
    ("name", "members", "reason"),
    [
        ("partners", ["acme"], "it has a single user"),
        ("part ners", ["acme", "globex"], "the name should be"),
    ],
)
def test_a_group_that_cannot_be_one_here_is_reported(
    name: str, members: list[str], reason: str, tmp_path: Path
) -> None:
    mapping = {"groups": [{"name": name, "type": 1}], "permissions": {}}
    users = [user(each, **mapping) for each in members]
    found = imported(tmp_path, *users, groups=[PARTNERS | {"name": name}], folders=RATES)
    assert found.groups == ()
    assert [str(each) for each in found.general if f"groups.{name}" in each.field and reason in each.text]
    assert all(table(each)["prefix"] == f"partners/{each.name}/" for each in found.users)


def test_a_restriction_of_a_group_disables_its_users(tmp_path: Path) -> None:
    group = {"name": "g", "user_settings": {"quota_size": 1, "filters": {"denied_protocols": ["SSH"]}}}
    for kind, outcome in ((1, "disabled"), (2, "disabled"), (3, "imported")):
        (found,) = imported(tmp_path, user(groups=[{"name": "g", "type": kind}]), groups=[group]).users
        assert found.outcome == outcome
    (found,) = imported(tmp_path, user(groups=[{"name": "gone", "type": 1}])).users
    assert fields_that_disable(found) == ["groups"]


def test_a_virtual_folder_that_is_elsewhere_disables_the_user(tmp_path: Path) -> None:
    folders = [{"name": "local", "mapped_path": "/srv"}]
    given = user(virtual_folders=[{"name": "local", "virtual_path": "/pub"}])
    (found,) = imported(tmp_path, given, folders=folders).users
    assert fields_that_disable(found) == ["virtual_folders[0].filesystem"]
    over_root = user(virtual_folders=[{"name": "x", "virtual_path": "/", "filesystem": storage("x/")}])
    assert imported(tmp_path, over_root).users[0].outcome == "disabled"


def test_different_credentials_for_the_bucket_disable_the_users(tmp_path: Path) -> None:
    first = user("a", filesystem=storage("a/", access_key="one"))
    second = user("b", filesystem=storage("b/", access_key="two"))
    outcomes = {each.name: fields_that_disable(each) for each in imported(tmp_path, first, second).users}
    assert outcomes == {"a": ["filesystem.s3config"], "b": ["filesystem.s3config"]}


def test_lists_of_addresses_of_the_server_disable_the_users(tmp_path: Path) -> None:
    found = imported(tmp_path, user(), ip_lists=[{"type": 1, "ipornet": "192.0.2.0/24", "mode": 1}])
    assert fields_that_disable(found.users[0]) == ["ip_lists"]


@pytest.mark.parametrize("name", ["../x", "a/b", "-x", "a b", "ä", "a" * 200, "a..b", "%role%"])
def test_a_name_that_is_not_accepted_here_is_not_written(name: str, tmp_path: Path) -> None:
    (found,) = imported(tmp_path, user(name, filesystem=storage())).users
    assert found.outcome == "not-written"
    assert document([found], "toml").strip() == ""


def test_braces_never_become_placeholders(tmp_path: Path) -> None:
    for prefix in ("{user}/", "${user}/", "a{b}/"):
        assert one(tmp_path, filesystem=storage(prefix)).outcome == "disabled"
    assert one(tmp_path, permissions={"/": ["list"], "/${user}": ["*"]}).outcome == "not-written"


def test_two_buckets_need_a_decision(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--bucket"):
        imported(
            tmp_path,
            user("a"),
            user("b", filesystem=storage("b/", bucket="another")),
            options=SftpgoOptions(),
        )
    with pytest.raises(ConfigurationError, match="--endpoint"):
        imported(tmp_path, user("a"), user("b", filesystem=storage("b/", endpoint="https://minio.example")))


def test_prefixes_are_relative_to_that_of_the_storage(tmp_path: Path) -> None:
    options = SftpgoOptions(bucket="b", prefix="sftp/")
    inside, outside = user("a", filesystem=storage("sftp/a/")), user("b", filesystem=storage("b/"))
    first, second = imported(tmp_path, inside, outside, options=options).users
    assert table(first)["prefix"] == "a/"
    assert second.outcome == "disabled"


FIELDS: dict[str, Any] = {
    "id": 3,
    "status": 0,
    "email": "ops@acme.example",
    "expiration_date": 1767225600000,
    "password": HASH,
    "has_password": True,
    "home_dir": "/srv/acme",
    "uid": 1000,
    "gid": 1000,
    "max_sessions": 1,
    "quota_size": 1,
    "quota_files": 1,
    "permissions": {"/": ["list"]},
    "used_quota_size": 1,
    "used_quota_files": 1,
    "last_quota_update": 1,
    "upload_bandwidth": 1,
    "download_bandwidth": 1,
    "upload_data_transfer": 1,
    "download_data_transfer": 1,
    "total_data_transfer": 1,
    "used_upload_data_transfer": 1,
    "used_download_data_transfer": 1,
    "last_login": 1,
    "created_at": 1,
    "updated_at": 1,
    "first_download": 1,
    "first_upload": 1,
    "last_password_change": 1,
    "description": "Acme Corp",
    "additional_info": "since 2019",
    "groups": [{"name": "news", "type": 3}],
    "oidc_custom_fields": {"a": "b"},
    "role": "sales",
    "virtual_folders": [{"name": "x", "virtual_path": "/x", "filesystem": storage("x/")}],
}
"""Every field of `BaseUser` in SFTPGo's SDK, with a value."""
FILTERS: dict[str, Any] = {
    "allowed_ip": ["192.0.2.0/24"],
    "denied_ip": ["192.0.2.0/24"],
    "denied_login_methods": ["TLSCertificate"],
    "denied_protocols": ["FTP"],
    "file_patterns": [{"path": "/", "denied_patterns": ["*.exe"]}],
    "max_upload_file_size": 1,
    "tls_username": "CommonName",
    "tls_certs": ["-----BEGIN CERTIFICATE-----"],
    "hooks": {"external_auth_disabled": True},
    "disable_fs_checks": True,
    "web_client": ["shares-disabled"],
    "allow_api_key_auth": True,
    "user_type": "LDAPUser",
    "bandwidth_limits": [{"sources": ["192.0.2.0/24"]}],
    "external_auth_cache_time": 1,
    "start_directory": "/in",
    "two_factor_protocols": ["HTTP"],
    "ftp_security": 1,
    "is_anonymous": True,
    "default_shares_expiration": 1,
    "max_shares_expiration": 1,
    "password_expiration": 1,
    "password_strength": 1,
    "access_time": [{"day_of_week": 1, "from": "07:00", "to": "08:00"}],
    "require_password_change": True,
    "additional_emails": ["a@b.example"],
    "totp_config": {"enabled": True, "protocols": ["HTTP"], "secret": {"status": "Secretbox"}},
    "recovery_codes": [{"secret": {"status": "Secretbox", "payload": "x"}}],
}
"""Every field of `UserFilters`."""


@pytest.mark.parametrize(
    "changes",
    [{name: value} for name, value in FIELDS.items()]
    + [{"filters": {name: value}} for name, value in FILTERS.items()]
    + [
        {"filesystem": storage(**{name: "x"})} for name in ("region", "storage_class", "acl", "access_secret")
    ],
    ids=str,
)
def test_no_field_is_dropped_silently(changes: dict[str, Any], tmp_path: Path) -> None:
    base: dict[str, Any] = {"public_keys": [KEY], "password": HASH} if "filters" in changes else {}
    groups = [{"name": "news"}]
    (without,) = imported(tmp_path, user(**base), groups=groups).users
    (found,) = imported(tmp_path, user(**base, **changes), groups=groups).users
    assert (found.table, found.findings) != (without.table, without.findings)


def test_groups_and_folders_without_users_are_named(tmp_path: Path) -> None:
    found = imported(tmp_path, user(), groups=[{"name": "gone"}], folders=[{"name": "old"}])
    assert {each.field for each in found.general} >= {"groups", "folders"}

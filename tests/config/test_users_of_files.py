"""Users in files apart from the configuration, one file or a directory of them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import asyncssh
import pytest

from s3sftp.app.options import load_options
from s3sftp.errors import ConfigurationError

KEY = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()


def user(name: str, more: str = "") -> str:
    return f"[users.{name}]\nauthorized_keys = ['{KEY}']\n{more}"


@pytest.fixture
def users(tmp_path: Path) -> Path:
    (tmp_path / "users").mkdir()
    return tmp_path / "users"


def load(users: Path, more: str = "", environ: dict[str, str] | None = None) -> set[str]:
    file = users.parent / "s3sftp.toml"
    file.write_text(f"backend = 'memory'\n[auth]\nusers_dir = '{users}'\n{more}")
    return set(load_options(file, environ or {}).users)


def problems(users: Path, more: str = "", environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigurationError) as wrong:
        load(users, more, environ)
    return "\n".join(wrong.value.problems)


def test_each_file_may_have_some_and_others_stand_elsewhere(users: Path) -> None:
    (users / "a.toml").write_text(user("alice") + user("bob"))
    (users / "b.toml").write_text(user("carol"))
    (users / "empty.toml").touch()
    (users.parent / "more.toml").write_text(user("dave"))
    more = f"users_file = '{users.parent}/more.toml'\n" + user("eve")
    frank = {"S3SFTP_USERS__frank__AUTHORIZED_KEYS": KEY}
    assert load(users, more, frank) == {"alice", "bob", "carol", "dave", "eve", "frank"}


def test_a_user_in_two_places_is_told_with_both(users: Path) -> None:
    for name in ("a", "b", "c"):
        (users / f"{name}.toml").write_text(user("alice") if name != "c" else user("bob"))
    told = problems(users, user("bob"))
    elsewhere = "this user is configured elsewhere too, in"
    assert f"users.alice ({users}/b.toml, line 1): {elsewhere} {users}/a.toml, line 1" in told
    assert f"users.bob ({users}/c.toml, line 1): {elsewhere} {users.parent}/s3sftp.toml, line 4" in told
    assert "S3SFTP_USERS__alice__PREFIX" in problems(users, "", {"S3SFTP_USERS__alice__PREFIX": "x/"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[users.alice\n", "is not valid TOML"),
        (
            "[s3]\nbucket = 'x'\n",
            "s3.bucket .*only \\[users.NAME\\] and \\[groups.NAME\\] tables belong here",
        ),
        ("users = 5\n", "users .*only \\[users.NAME\\] and \\[groups.NAME\\] tables belong here"),
        ("users.alice = 5\n", "users.alice = 5 .*should be a table of options"),
        (user("alice", "prefix = 7\n"), "users.alice.prefix = 7 .*a.toml"),
        (user("alice", "prefx = 'x'\n"), "users.alice.prefx .*did you mean 'prefix'"),
        (user("'al ice'"), "users.'al ice' .*a.toml, line 1.: the name should be"),
        ("[users.alice]\n", "users.alice cannot log in"),
        ("[users.alice]\ndisabled = false\n", "users.alice cannot log in"),
        (
            user("alice", "authorized_keys_file = '/no'\n"),
            "users.alice.authorized_keys_file = '/no'",
        ),
        ("x = " + "[" * 3000 + "]" * 3000, "nested too deeply"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_name(users: Path, text: str, words: str) -> None:
    (users / "a.toml").write_text(text)
    (users / "b.toml").write_text("[users.bob\n")
    told = problems(users)
    assert f"{users}/b.toml is not valid TOML" in told
    assert any(re.search(words, line) for line in told.splitlines()), told


def test_a_file_that_is_none_is_told_and_nobody_waits_for_it(users: Path) -> None:
    os.mkfifo(users / "a.toml")
    (users / "b.toml").mkdir()
    (users / "c.toml").symlink_to("..data/c.toml")
    (users / "d.toml").write_bytes(b"\xff\xfe")
    os.mkfifo(users / "keys")
    (users / "e.toml").write_text(user("eve", f"authorized_keys_file = '{users}/keys'\n"))
    told = problems(users)
    for name in "abcd":
        assert f"{users}/{name}.toml" in told
    assert "users.eve.authorized_keys_file" in told
    assert "is a pipe" in told


def test_a_directory_that_is_missing_or_no_name_is_wrong_and_an_empty_one_is_not(users: Path) -> None:
    assert load(users) == set()
    (users / "a.toml").write_text(user("alice"))
    file = users.parent / "s3sftp.toml"
    file.write_text(f"backend = 'memory'\n[auth]\nusers_dir = '{users}/no'\n")
    with pytest.raises(ConfigurationError, match=f"cannot read {users}/no: No such file"):
        load_options(file, {})
    for text in ("", "."):
        with pytest.raises(ConfigurationError, match=r"auth\.users_dir"):
            load_options(None, {"S3SFTP_BACKEND": "memory", "S3SFTP_AUTH__USERS_DIR": text})


def test_a_credential_in_a_file_is_never_told(users: Path) -> None:
    (users / "a.toml").write_text("[users.alice]\npassword_hash = 'plaintext'\n")
    (users / "b.toml").write_text("[users.bob]\npassword_hash = 'plaintext\n")
    told = problems(users)
    assert "plaintext" not in told
    assert "users.alice.password_hash = (hidden)" in told


def test_a_file_that_is_too_large_is_named_without_being_read_into_memory(users: Path) -> None:
    with (users / "a.toml").open("wb") as file:
        file.truncate(1 << 40)  # takes no room on the disk
    assert f"{users}/a.toml is larger than 64 MiB" in problems(users)


YAML = """
groups:
  partners:
    prefix: partners/${{user}}
    directories: [inbox, outbox]
    attributes: {{tier: standard, tenant: "${{user}}"}}
users:
  acme:
    group: partners
    authorized_keys: {key}
    attributes:
      tier: gold
  no:
    group: partners
    read_only: yes
    authorized_keys: ['{key}']
"""


def test_users_and_groups_may_be_in_yaml_with_the_same_tables(users: Path) -> None:
    (users / "a.yaml").write_text(YAML.format(key=KEY))
    (users / "b.yml").write_text("users: {bob: {authorized_keys: ['" + KEY + "']}}")
    (users / "empty.yaml").write_text("# nobody yet\n")
    file = users.parent / "s3sftp.toml"
    file.write_text(f"backend = 'memory'\n[auth]\nusers_dir = '{users}'\n")
    found = load_options(file, {}).users
    assert set(found) == {"acme", "no", "bob"}
    assert found["acme"].prefix_of("acme") == "partners/acme/"
    assert found["acme"].attributes == {"tier": "gold", "tenant": "acme"}
    assert found["no"].directories == ("inbox", "outbox")
    assert found["no"].read_only
    (users.parent / "more.yaml").write_text("users: {eve: {authorized_keys: ['" + KEY + "']}}")
    assert "eve" in load(users, f"users_file = '{users.parent}/more.yaml'\n")


def test_groups_may_be_in_any_file_in_the_configuration_and_in_the_environment(users: Path) -> None:
    (users / "a.toml").write_text(user("alice", "group = ['main', 'apart', 'said']\n"))
    (users / "b.yaml").write_text("groups: {apart: {attributes: {b: '2'}}}")
    file = users.parent / "s3sftp.toml"
    file.write_text(
        f"backend = 'memory'\n[auth]\nusers_dir = '{users}'\n[groups.main]\nattributes = {{ a = '1' }}\n"
    )
    environ = {"S3SFTP_GROUPS__said__READ_ONLY": "true", "S3SFTP_USERS__frank__GROUP": "main,apart"}
    environ["S3SFTP_USERS__frank__AUTHORIZED_KEYS"] = KEY
    found = load_options(file, environ).users
    assert found["alice"].attributes == found["frank"].attributes == {"a": "1", "b": "2"}
    assert (found["alice"].read_only, found["frank"].read_only) == (True, False)


def test_every_problem_of_every_file_is_told_with_file_line_and_field(users: Path) -> None:
    (users / "groups.toml").write_text(
        "[groups.partners]\nprefix = '../other'\npassword_hash = 'secret'\n\n"
        "[groups.loop]\ngroup = 'loop'\n[groups.'a b']\n"
    )
    (users / "a.yaml").write_text(
        f"users:\n  acme:\n    group: partners\n    authorized_keys:\n    - {KEY}\n    - 7\n    attributes:\n"
        "      tenant: 7\n  bob:\n    group: partnrs\n    prefx: x\n"
    )
    (users / "b.yaml").write_text("users:\n  acme: {}\n  acme: {}\n")
    (users / "c.toml").write_text(f"\n[users.carl]\nauthorized_keys_file = '{users}/nobody.pub'\n")
    (users / "d.toml").write_text("[users.acme]\nread_only = 'maybe'\n")
    (users / "e.yaml").write_text("- users\n")
    (users / "f.yaml").write_text("server:\n  workers: 2\n")
    told = problems(users)
    for place, field, words in [
        ("groups.toml, line 2", "groups.partners.prefix = '../other'", "none of them '.' or '..'"),
        ("groups.toml, line 3", "groups.partners.password_hash", "belongs to one user"),
        ("groups.toml, line 6", "groups.loop.group", "a group cannot be in itself: loop → loop"),
        ("groups.toml, line 7", "groups.'a b'", "the name should be 1 to 100 letters"),
        ("a.yaml, line 6", "users.acme.authorized_keys.1 = 7", "in quotes"),
        ("a.yaml, line 8", "users.acme.attributes.tenant = 7", "in quotes"),
        ("a.yaml, line 10", "users.bob.group = 'partnrs'", "did you mean 'partners'?"),
        ("a.yaml, line 11", "users.bob.prefx", "did you mean 'prefix'?"),
        ("b.yaml is not valid YAML", "'acme' occurs twice, first in line 2", "at line 3"),
        ("c.toml, line 3", "users.carl.authorized_keys_file", "cannot read it: No such file"),
        ("d.toml, line 1", "users.acme", f"configured elsewhere too, in {users}/a.yaml, line 2"),
        ("d.toml, line 2", "users.acme.read_only = 'maybe'", "boolean"),
        ("e.yaml, line 1", "", "should be a table"),
        ("f.yaml, line 2", "server.workers", "only [users.NAME] and [groups.NAME] tables belong here"),
    ]:
        assert any(place in line and field in line and words in line for line in told.splitlines()), (
            place,
            told,
        )
    assert "secret" not in told
    assert len(told.splitlines()) == 14, told


def test_a_mistake_in_a_group_is_told_once_and_not_for_each_of_its_users(users: Path) -> None:
    (users / "groups.yaml").write_text("groups:\n  partners:\n    read_only: perhaps\n")
    for number in range(5):
        (users / f"{number}.toml").write_text(user(f"u{number}", "group = 'partners'\n"))
    (told,) = problems(users).splitlines()
    assert told.startswith(f"groups.partners.read_only = 'perhaps' ({users}/groups.yaml, line 3)")


def test_a_group_cannot_lead_its_users_out_of_the_storage_by_their_names(users: Path) -> None:
    for prefix in (
        "../${user}",
        "a/../${user}",
        "/${user}",
        "${user}/..",
        "a//${user}",
        "${name}",
        "x{user",
        "$}",
    ):
        (users / "a.toml").write_text(f"[groups.g]\nprefix = '{prefix}'\n" + user("alice", "group = 'g'\n"))
        told = problems(users)
        assert f"groups.g.prefix = '{prefix}' ({users}/a.toml, line 2)" in told, prefix
    (users / "a.toml").write_text("[groups.g]\nprefix = 'p/${user}'\n" + user("'..'", "group = 'g'\n"))
    assert "the name should be" in problems(users)


def test_what_was_never_a_file_of_users_cannot_be_executed_or_exhaust_the_server(users: Path) -> None:
    mark = users.parent / "executed"
    (users / "a.yaml").write_text(f"users: !!python/object/apply:os.system ['touch {mark}']\n")
    (users / "b.yaml").write_text("x: " + "[" * 100_000)
    (users / "c.yaml").write_text("x: " + "[" * 990 + "]" * 990)
    (users / "d.yaml").write_bytes(b"users:\n  \xff: 1\n")
    told = problems(users)
    assert "a.yaml is not valid YAML: tags are not read here (at line 1" in told
    assert "b.yaml is not valid YAML: exceeded maximum nesting depth" in told
    assert "c.yaml is not valid YAML: its values are nested too deeply" in told
    assert re.search(r"d.yaml is not UTF-8 text: .* \(at line 2\)", told)
    assert not mark.exists()


def test_a_group_in_two_places_is_told_with_both(users: Path) -> None:
    (users / "a.yaml").write_text("groups:\n  g: {read_only: true}\n")
    (users / "b.toml").write_text("[groups.g]\nread_only = 'perhaps'\n" + user("alice", "group = 'g'\n"))
    told = problems(users)
    elsewhere = f"this group is configured elsewhere too, in {users}/a.yaml, line 2"
    assert f"groups.g ({users}/b.toml, line 1): {elsewhere}" in told
    assert f"groups.g.read_only = 'perhaps' ({users}/b.toml, line 2)" in told


def test_a_user_is_told_where_it_stands_even_if_the_value_came_from_a_group(users: Path) -> None:
    (users / "g.yaml").write_text("groups:\n  g:\n    prefix: .s3sftp/${user}\n    directories: [a//b]\n")
    (users / "a.toml").write_text(user("alice", "group = 'g'\n"))
    file = users.parent / "s3sftp.toml"
    file.write_text(f"[s3]\nbucket = 'b'\n[auth]\nusers_dir = '{users}'\n")
    with pytest.raises(ConfigurationError) as wrong:
        load_options(file, {})
    told = "\n".join(wrong.value.problems)
    assert f"users.alice.prefix ({users}/g.yaml, line 3): .s3sftp is the server's own" in told
    assert f"users.alice ({users}/g.yaml, line 4)" in told


STRICT = (
    "groups:\n  strict:\n    networks: 192.0.2.0/24\n    expires: 2020-01-01\n    rights: read-only\n"
    "    max_file_bytes: 5\n    attributes: {tenant: x}\n    paths: {/in: {deny: '*.exe'}}\n"
)


@pytest.mark.parametrize(
    ("option", "line", "name"),
    [
        *((f"{name}:", 6, name) for name in ("networks", "expires", "rights", "max_file_bytes", "group")),
        ("totp_secret: ~", 6, "totp_secret"),
        ("attributes:\n      tenant: null", 7, "attributes.tenant"),
        ("paths: {/in: {deny: }}", 6, "paths./in.deny"),
    ],
    ids=lambda value: str(value).split(":")[0],
)
def test_an_option_without_a_value_switches_nothing_off_but_is_refused(
    users: Path, option: str, line: int, name: str
) -> None:
    (users / "groups.yaml").write_text(STRICT)
    text = f"users:\n  acme:\n    authorized_keys:\n    - {KEY}\n    disabled: no\n    {option}\n"
    (users / "acme.yaml").write_text(text if name == "group" else f"{text}    group: strict\n")
    expected = (
        f"users.acme.{name} ({users}/acme.yaml, line {line}): has no value; remove the line or give one"
    )
    assert expected in problems(users).splitlines()


def test_an_option_without_a_value_is_refused_in_groups_and_in_variables_too(users: Path) -> None:
    (users / "groups.yaml").write_text("groups:\n  partners:\n    networks:\n")
    environ = {
        "S3SFTP_USERS__ACME__ATTRIBUTES": '{"tenant": null}',
        "S3SFTP_USERS__ACME__AUTHORIZED_KEYS": KEY,
    }
    assert problems(users, environ=environ).splitlines() == [
        f"groups.partners.networks ({users}/groups.yaml, line 3): has no value; remove the line or give one",
        "users.ACME.attributes.tenant (environment S3SFTP_USERS__ACME__ATTRIBUTES): has no value;"
        " remove the line or give one",
    ]


def test_an_empty_list_of_methods_asks_for_no_less_than_the_group(users: Path) -> None:
    (users / "groups.yaml").write_text("groups: {strict: {methods: ['publickey+password']}}\n")
    (users / "acme.yaml").write_text(
        f"users:\n  acme:\n    group: strict\n    authorized_keys: {KEY}\n    methods: []\n"
    )
    told = problems(users)
    assert f"users.acme.methods = [] ({users}/acme.yaml, line 5): should name at least one method" in told


@pytest.mark.parametrize("option", ["prefix", "max_file_bytes"])
def test_a_number_of_thousands_of_digits_is_an_error_with_its_line(users: Path, option: str) -> None:
    (users / "acme.toml").write_text(user("acme", f"{option} = 0x{'f' * 9000}\n"))
    told = problems(users)
    assert f"users.acme.{option} = (a number with too many digits) ({users}/acme.toml, line 3): " in told

"""Where options come from, and how wrong ones are told: all at once, by name, with what would be right."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import get_args

import asyncssh
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3sftp.app.options import ServerOptions, load_options
from s3sftp.auth import GroupOptions, UserOptions, hash_password
from s3sftp.config import Options, Setting
from s3sftp.errors import ConfigurationError

pytestmark = pytest.mark.slow

KEY = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
ENOUGH = f"""
[s3]
bucket = "files"
[users.alice]
authorized_keys = ["{KEY}"]
"""


REQUIRED = (
    ENOUGH
    + """
[local]
root = "/srv/sftp"
[service]
socket = "/run/storage/socket"
[hook]
url = "https://hook.example.com/"
[shared_state]
dynamodb_table = "sftp-shared"

[dynamodb]
users_table = "sftp-users"
[secrets_manager]
prefix = "aws/transfer/s-0123/"
[auth]
answer_timeout = "1 d"
"""
)
"""What each group must have, so that any one of its options can be set by itself."""


def write(directory: Path, text: str, name: str = "s3sftp.toml") -> Path:
    file = directory / name
    file.write_text(text)
    return file


def problems_of(file: Path | None = None, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_options(file, environ or {})
    return list(caught.value.problems)


def test_a_file_with_a_bucket_and_a_user_is_enough(tmp_path: Path) -> None:
    options = load_options(write(tmp_path, ENOUGH), {})
    assert options.s3 is not None
    assert options.s3.bucket == "files"
    assert options.listen.port == 2022
    assert options.users["alice"].prefix_of("alice") == "alice/"


def test_flags_win_over_the_environment_and_that_over_the_file_and_that_over_defaults(tmp_path: Path) -> None:
    file = write(tmp_path, ENOUGH + "[listen]\nport = 1\nhost = 'file'\n[log]\nlevel = 'error'\n")
    environ = {"S3SFTP_LISTEN__PORT": "2", "S3SFTP_LISTEN__HOST": "environment"}
    flags = [Setting(("listen", "port"), "3", "--port", is_text=True)]
    options = load_options(file, environ, flags)
    assert (options.listen.port, options.listen.host) == (3, "environment")
    assert (options.log.level, options.log.format) == ("error", "auto")


def test_one_option_in_the_environment_leaves_the_rest_of_its_group_as_it_was(tmp_path: Path) -> None:
    options = load_options(write(tmp_path, ENOUGH + "[listen]\nhost='::1'\n"), {"S3SFTP_LISTEN__PORT": "22"})
    assert (options.listen.host, options.listen.port) == ("::1", 22)


def test_all_can_be_said_in_the_environment_alone() -> None:
    options = load_options(
        None,
        {
            "S3SFTP_S3__BUCKET": "files",
            "S3SFTP_S3__METADATA": '{"team": "ops"}',
            "S3SFTP_USERS__Alice__AUTHORIZED_KEYS": f"{KEY}\n# comment\n{KEY}",
            "S3SFTP_USERS__Alice__DIRECTORIES": "in,out",
            "S3SFTP_SSH__CIPHERS": '["aes256-gcm@openssh.com"]',
            "S3SFTP_SSH__LOGIN_GRACE": "2 min",
            "S3SFTP_FILES__RANGE_BYTES": "4 MiB",
            "S3SFTP_BACKEND": "memory",
        },
    )
    alice = options.users["Alice"]
    assert [line for line in alice.authorized_keys if line == KEY] == [KEY, KEY]
    assert alice.directories == ("in", "out")
    assert options.ssh.ciphers == ("aes256-gcm@openssh.com",)
    assert options.ssh.login_grace == timedelta(minutes=2)
    assert options.files.range_bytes == 4 << 20
    assert options.s3 is not None
    assert options.s3.metadata == {"team": "ops"}
    assert options.backend == "memory"


def test_variables_that_kubernetes_sets_for_a_service_of_our_name_are_left_alone(tmp_path: Path) -> None:
    environ = {"S3SFTP_PORT": "tcp://10.0.0.1:22", "S3SFTP_SERVICE_HOST": "10.0.0.1", "S3SFTP_CONFIG": "x"}
    assert load_options(write(tmp_path, ENOUGH), environ).listen.port == 2022


def test_every_problem_is_told_at_once_by_name_value_and_place(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        """
        backend = "tape"
        [listen]
        port = 70000
        [s3]
        bucket = "b"
        part_bytes = "8 MB"
        [ssh]
        login_grace = "soon"
        ciphers = ["aes128-cbc"]
        [log]
        format = "xml"
        [users."../etc"]
        password_hash = "plain"
        [users.bob]
        """,
    )
    problems = problems_of(file, {"S3SFTP_AUTH__BAN_FAILURES": "many"})
    told = "\n".join(problems)
    for name, value in [
        ("backend", "'tape'"),
        ("listen.port", "70000"),
        ("s3.part_bytes", "'8 MB'"),
        ("ssh.login_grace", "'soon'"),
        ("ssh.ciphers", "aes128-cbc"),
        ("log.format", "'xml'"),
        ("auth.ban_failures", "'many'"),
        ("users.bob", "cannot log in"),
    ]:
        assert any(problem.startswith(name) and value in problem for problem in problems), (name, told)
    assert "S3SFTP_AUTH__BAN_FAILURES" in told
    assert str(file) in told
    assert "should be 'auto', 'json', 'text' or 'logfmt'" in told


def test_an_unknown_option_is_answered_with_the_nearest_known_one(tmp_path: Path) -> None:
    problems = problems_of(
        write(tmp_path, ENOUGH + "[listen]\nprot = 1\n[lisen]\nport = 1\n[users.bob]\npasswort = 'x'\n")
    )
    assert any("listen.prot" in problem and "did you mean 'port'?" in problem for problem in problems)
    assert any(problem.startswith("lisen") and "did you mean 'listen'?" in problem for problem in problems)
    assert any("users.bob.passwort" in problem for problem in problems)


def test_an_unknown_variable_of_ours_is_a_problem_too(tmp_path: Path) -> None:
    problems = problems_of(write(tmp_path, ENOUGH), {"S3SFTP_S3__BUKET": "b", "S3SFTP_LISTEM__PORT": "1"})
    assert any("s3.buket" in problem and "'bucket'" in problem for problem in problems)
    assert any("listem" in problem and "'listen'" in problem for problem in problems)


def test_secrets_are_never_repeated(tmp_path: Path) -> None:
    file = write(
        tmp_path, "[s3]\nbucket='b'\nsecret_access_key=['hush-one']\n[users.a]\npassword_hash='hush-two'\n"
    )
    told = "\n".join(problems_of(file, {"S3SFTP_S3__SESSION_TOKEN": "hush-three"}))
    assert "s3.secret_access_key" in told
    assert "users.a.password_hash" in told
    assert "hush" not in told


def test_a_syntax_error_names_file_and_line(tmp_path: Path) -> None:
    file = write(tmp_path, "[s3]\nbucket = \n")
    (problem,) = problems_of(file)
    assert str(file) in problem
    assert "line 2" in problem


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path / "missing.toml")
    assert "missing.toml" in problem
    assert "No such file" in problem


def test_nothing_configured_says_what_is_needed_first() -> None:
    told = "\n".join(problems_of())
    assert "s3.bucket" in told
    assert "no users" in told


@pytest.mark.parametrize(
    "name",
    ["..", ".", "a/b", "a%2f", "a\\b", "x" * 300, "a\0b", "", "-a", "a b", "a\nb", "ä", "a..b", "{user}"],
)
def test_a_user_name_that_could_leave_its_prefix_is_refused(name: str) -> None:
    settings = [
        Setting(("s3", "bucket"), "b", "test"),
        Setting(("users", name, "authorized_keys"), [KEY], "test"),
    ]
    with pytest.raises(ConfigurationError, match="name should be"):
        load_options(environ={}, flags=settings)


@pytest.mark.parametrize(
    "prefix", ["../x", "a//b", "/a", "a/../b", "a/./b", "a\0b", "a\\b", "{name}", "{user", "x" * 1000]
)
def test_a_prefix_that_is_no_chain_of_names_is_refused(prefix: str) -> None:
    settings = [
        Setting(("s3", "bucket"), "b", "test"),
        Setting(("users", "bob", "authorized_keys"), [KEY], "test"),
        Setting(("users", "bob", "prefix"), prefix, "test"),
    ]
    with pytest.raises(ConfigurationError, match=r"users\.bob"):
        load_options(environ={}, flags=settings)


@pytest.mark.parametrize(
    ("template", "prefix"),
    [("", ""), ("{user}", "bob/"), ("partners/{user}/", "partners/bob/"), ("all", "all/")],
)
def test_a_prefix_may_be_a_template(tmp_path: Path, template: str, prefix: str) -> None:
    file = write(tmp_path, ENOUGH + f"[users.bob]\nauthorized_keys='{KEY}'\nprefix='{template}'\n")
    assert load_options(file, {}).users["bob"].prefix_of("bob") == prefix


@pytest.mark.parametrize("prefix", [".s3sftp", ".s3sftp/uploads/"])
def test_no_users_prefix_leads_into_the_reserved_name(tmp_path: Path, prefix: str) -> None:
    [problem] = problems_of(write(tmp_path, ENOUGH + f'prefix = "{prefix}"'))
    assert problem.startswith("users.alice.prefix (")
    assert "s3sftp.toml, line 6): .s3sftp is the server's own" in problem


def test_users_may_live_in_a_file_of_their_own(tmp_path: Path) -> None:
    users = write(tmp_path, f"[users.bob]\npassword_hash = '{hash_password('x')}'\n", "users.toml")
    options = load_options(write(tmp_path, ENOUGH + f"[auth]\nusers_file = '{users}'\n"), {})
    assert set(options.users) == {"alice", "bob"}


def test_a_file_of_users_may_hold_nothing_else_and_no_user_twice(tmp_path: Path) -> None:
    users = write(tmp_path, "[users.alice]\nread_only = true\n[s3]\nbucket = 'x'\n", "users.toml")
    told = "\n".join(problems_of(write(tmp_path, ENOUGH + f"[auth]\nusers_file = '{users}'\n")))
    assert "users.alice" in told
    assert "configured elsewhere too" in told
    assert "s3.bucket" in told


def test_a_file_of_keys_that_cannot_be_read_is_named_and_a_bad_key_is_no_wrong_configuration(
    tmp_path: Path,
) -> None:
    bad = write(tmp_path, "not a key\n", "keys")
    users = ENOUGH + f"[users.b]\nauthorized_keys_file='{bad}'\n[users.d]\nauthorized_keys=['nonsense']\n"
    assert set(load_options(write(tmp_path, users), {}).users) == {"alice", "b", "d"}
    missing = write(tmp_path, users + f"[users.c]\nauthorized_keys_file='{tmp_path}/no'\n")
    (told,) = problems_of(missing)
    assert "users.c.authorized_keys_file" in told


def test_host_keys_that_cannot_be_used_are_named_with_everything_else(tmp_path: Path) -> None:
    bad = write(tmp_path, "no key", "host_key")
    told = "\n".join(
        problems_of(write(tmp_path, ENOUGH + f"[ssh]\nhost_keys=['{bad}']\n[log]\nlevel='loud'\n"))
    )
    assert str(bad) in told
    assert "log.level" in told


def _options(kind: type | None = None) -> list[str]:
    """Every option outside users and groups as its variable is called; with `kind` those of that type."""
    names = []
    for group, field in ServerOptions.model_fields.items():
        if group == "storages":  # those of `s3`, by name
            continue
        for model in (field.annotation, *get_args(field.annotation)):
            if (
                isinstance(model, type)
                and issubclass(model, Options)
                and model not in (UserOptions, GroupOptions)
            ):
                names += [
                    f"{group}__{name}".upper()
                    for name, option in model.model_fields.items()
                    if kind in (None, option.annotation)
                ]
    return names


@pytest.mark.parametrize("option", _options(timedelta))
def test_every_length_of_time_can_be_written_with_a_unit(tmp_path: Path, option: str) -> None:
    group, name = option.lower().split("__")
    for text, seconds in (("7", 7), ("2 min", 120), ("1.5 h", 5400)):
        options = load_options(write(tmp_path, REQUIRED), {f"S3SFTP_{option}": text})
        assert getattr(getattr(options, group), name) == timedelta(seconds=seconds)


@pytest.mark.parametrize("path", ["/no\0where", "/no\udd00where"], ids=["NUL", "surrogate"])
@pytest.mark.parametrize(
    "option",
    [
        "ssh.host_keys",
        "auth.users_file",
        "users.bob.authorized_keys_file",
        "files.spool_dir",
        "local.root",
        "service.socket",
        "server.state_dir",
    ],
)
def test_a_path_that_no_file_system_can_have_is_told(tmp_path: Path, option: str, path: str) -> None:
    value = [path] if option == "ssh.host_keys" else path
    flag = Setting(tuple(option.split(".")), value, "here")
    with pytest.raises(ConfigurationError) as caught:
        load_options(write(tmp_path, REQUIRED), {}, [flag])
    told = [problem for problem in caught.value.problems if "should be a path" in problem]
    assert len(told) == 1
    assert told[0].startswith(option)
    assert repr(path) in told[0]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(option=st.sampled_from(_options()), text=st.text(st.characters(exclude_characters="\0"), max_size=40))
def test_whatever_an_option_is_set_to_it_is_taken_or_refused_by_name(
    tmp_path: Path, option: str, text: str
) -> None:
    file = write(tmp_path, REQUIRED)
    try:
        load_options(file, {f"S3SFTP_{option}": text})
    except ConfigurationError as error:
        told = "\n".join(error.problems)
        assert option.lower().partition("__")[2] in told

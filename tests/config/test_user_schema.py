"""The published JSON Schema of users: it takes what the server takes, as far as a schema can say."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import asyncssh
import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from s3sftp.app.options import load_users_alone
from s3sftp.auth import GroupOptions, UserOptions, hash_password
from s3sftp.auth.user_schema import user_schema
from s3sftp.config import SourceFiles
from tests.support.loaded_files import load

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "docs/users.schema.json"
KEY = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
HASH = hash_password("x")
VALIDATOR = jsonschema.Draft202012Validator(user_schema())


def _shown(value: object) -> str:
    """A value in the name of a case, which is the same in every process."""
    return repr(value).replace(KEY, "KEY").replace(HASH, "HASH")


def test_the_published_schema_is_that_of_the_options() -> None:
    tool = load(ROOT / "docs/tools/users_schema.py")
    assert PUBLISHED.read_text("utf-8") == tool.text(), (
        "docs/users.schema.json is not up to date: run make docs"
    )


def test_it_is_a_schema_that_knows_and_explains_every_option() -> None:
    jsonschema.Draft202012Validator.check_schema(user_schema())
    for name, model in (("user", UserOptions), ("group", GroupOptions)):
        options = user_schema()["$defs"][name]["properties"]
        assert options.keys() == model.model_fields.keys()
        assert [option for option, schema in options.items() if not schema.get("description")] == []


NAMES = [
    *("acme", "a.b", "no", "0123", "a@b+c", "_", "x" * 100),
    *("x" * 101, "", "a..b", "-a", ".a", "a b", "a/b", "${user}"),
]
PREFIXES = [
    *("", "a", "a/", "a/b/", "${user}", "p/{user}/x", "..a/b.", "$", "{user}{user}/${user}$", "x" * 899),
    *("..", ".", "a/../b", "/a", "a//b", "a/./b", "a/..", "a\\b", "a\tb", "x" * 901),
    *("{x}", "${x}", "{", "}", "{user"),
]
YES_OR_NO = [
    *(True, False, "true", "FALSE", "yes", "No", "ON", "off", "t", "F", "Y", "n", "0", "1", 0, 1, 1.0),
    *("maybe", " true", "truee", "", "2", 2, -1, 0.5, None, []),
]
ANYTHING = st.sampled_from(
    [None, True, 7, 1.5, "text", "yes", [], ["a"], [7], {}, {"a": "b"}, {"a": 7}, {"a": None}]
)
GOOD = {
    "prefix": st.sampled_from(PREFIXES),
    "read_only": st.sampled_from(YES_OR_NO),
    "directories": st.lists(st.sampled_from(["inbox", "a/b"]), max_size=2),
    "attributes": st.dictionaries(st.sampled_from("ab"), st.sampled_from(["x", "7", "${user}"]), max_size=2),
    "group": st.sampled_from(["all", ["all"], []]),
}
CREDENTIALS = {
    "password_hash": st.sampled_from([HASH, None]),
    "authorized_keys": st.sampled_from([KEY, [KEY]]),
}


def tables(options: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Tables that are mostly right: now and then a value of another kind, an unknown name, or no table."""
    names = st.sampled_from([*options, "prefx", "Prefix"])
    one = names.flatmap(
        lambda name: st.tuples(st.just(name), st.one_of(options.get(name, ANYTHING), ANYTHING))
    )
    return st.lists(one, max_size=3).map(dict) | st.dictionaries(
        st.sampled_from(list(options)), st.nothing(), max_size=0
    )


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    users = draw(st.dictionaries(st.sampled_from(NAMES), tables(GOOD | CREDENTIALS) | ANYTHING, max_size=2))
    groups = draw(st.dictionaries(st.sampled_from(NAMES), tables(GOOD) | ANYTHING, max_size=1))
    for table in users.values():
        if isinstance(table, dict) and draw(st.booleans()):
            table.setdefault("authorized_keys", [KEY])
    found: dict[str, Any] = {"users": users, "groups": {**groups, "all": {}}}
    if draw(st.integers(0, 9)) == 0:
        found["s3"] = {"bucket": "x"}
    return found


def said_of(found: object) -> list[str]:
    """What the server says of a file."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "users.yaml"
        file.write_text(yaml.safe_dump(found, allow_unicode=True), "utf-8")
        return list(load_users_alone(None, [file], SourceFiles()).problems)


def problems_of(found: object) -> list[str]:
    """What the server says of a file, without what no schema can know: that somebody has no credentials, and
    that a group is not there."""
    unknowable = ("cannot log in", "there is no such group")
    return [problem for problem in said_of(found) if not any(words in problem for words in unknowable)]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("", name) for name in NAMES),
        *(("prefix", value) for value in PREFIXES),
        *(("read_only", value) for value in YES_OR_NO),
        *(("group", value) for value in ("all", ["all"], [], None, 7, ["all", 7])),
        *(("directories", value) for value in (["a"], [], "a", [7], None)),
        *(("authorized_keys", value) for value in (KEY, [KEY], [], 7, [KEY, None])),
        *(("disabled", value) for value in YES_OR_NO),
        *(("networks", value) for value in (["192.0.2.0/24"], "192.0.2.1, !192.0.2.2", None, 7, [7])),
        *(("expires", value) for value in ("2027-01-31", "2027-01-31T18:00:00Z", None, 7, "soon")),
        *(("hours", value) for value in (["Mon-Fri 07:00-19:00"], [], [7], None)),
        *(("methods", value) for value in (["publickey"], [], [7], None)),
        *(("password_hash", value) for value in (HASH, None, 7)),
        *((option, None) for option in sorted(UserOptions.model_fields)),
        *(("attributes", value) for value in ({"a": "b"}, {"a": None})),
        *(("paths", value) for value in ({"/a": {"deny": "x"}}, {"/a": {"deny": None}}, {"/a": None})),
        *(("mounts", value) for value in ({"/a": {"prefix": "x/"}}, {"/a": {"prefix": None}}, {"/a": None})),
    ],
    ids=_shown,
)
def test_of_one_value_both_think_the_same(option: str, value: Any) -> None:
    name, table = (value, {}) if option == "" else ("acme", {option: value})
    for kind in ("users", "groups"):
        if option not in ("", *GroupOptions.model_fields) and kind == "groups":
            continue
        found = {"groups": {"all": {}}} | {kind: {name: table, "all": {}}}
        problems = problems_of(found)
        assert VALIDATOR.is_valid(found) == (problems == []), problems


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(files())
def test_it_takes_what_the_server_takes_and_refuses_what_the_server_refuses(found: dict[str, Any]) -> None:
    problems = problems_of(found)
    errors = [error.message for error in VALIDATOR.iter_errors(found)]
    assert bool(errors) == bool(problems), (problems, errors)


def test_what_only_the_server_can_refuse_is_refused_by_it() -> None:
    for table in (
        {"password_hash": "not a hash"},
        {"authorized_keys": [KEY], "group": "unknown"},
        {"authorized_keys_file": "/does/not/exist"},
        {"authorized_keys": [KEY], "prefix": "a\u00a0b"},
    ):
        assert VALIDATOR.is_valid({"users": {"acme": table}})
        assert said_of({"users": {"acme": table}})


@pytest.fixture
def examples(tmp_path: Path) -> dict[str, Path]:
    """Files, with those that are right under names that begin so."""
    texts = {
        "right.yaml": "users:\n  no:\n    group: all\n    read_only: yes\n    prefix: p/${user}\n"
        f"    authorized_keys: {KEY}\ngroups: {{all: {{attributes: {{a: '7'}}}}}}\n",
        "right.toml": f"[users.acme]\nauthorized_keys = ['{KEY}']\nattributes.a = '7'\n"
        "[groups.all]\nread_only = true\n",
        "number.yaml": f"users: {{acme: {{authorized_keys: ['{KEY}'], attributes: {{tenant: 7}}}}}}\n",
        "unknown.toml": f"[users.acme]\nauthorized_keys = ['{KEY}']\nprefx = 'x'\n",
        "credential.toml": f"[groups.all]\npassword_hash = '{HASH}'\n",
        "parent.yaml": f"users: {{acme: {{authorized_keys: '{KEY}', prefix: ../x}}}}\n",
        "name.yaml": f"users: {{a/b: {{authorized_keys: '{KEY}'}}}}\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return {name: tmp_path / name for name in texts}


@pytest.mark.slow
def test_check_jsonschema_finds_with_it_what_the_server_finds(examples: dict[str, Path]) -> None:
    program = Path(sys.executable).with_name("check-jsonschema")
    for name, file in examples.items():
        command = [str(program), "--schemafile", str(PUBLISHED), str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        is_right = name.startswith("right")
        assert (done.returncode == 0) == is_right, (name, done.stdout, done.stderr)
        assert (not load_users_alone(None, [file], SourceFiles()).problems) == is_right, name


def test_the_command_prints_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "s3sftp", "users", "schema"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout) == json.loads(PUBLISHED.read_text("utf-8"))

"""What a user is after groups, whatever the options are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.auth import Definition, Groups
from s3sftp.auth.user_options import GroupOptions, UserOptions
from s3sftp.config import is_secret

Table = Mapping[str, Any]


class Place:
    """A file in which everything is on the line that its path names."""

    def origin(self, path: Sequence[str]) -> str:
        return f"line of {'.'.join(path)}"


def groups_of(**tables: Table) -> Groups:
    return Groups({name: Definition("groups", name, table, Place()) for name, table in tables.items()})


def merged(user: Table, **groups: Table) -> dict[str, Any]:
    return groups_of(**groups).layers_of(Definition("users", "acme", user, Place())).merged()


def without_group(table: Table) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name != "group"}


def test_what_the_user_says_overrides_what_the_group_says() -> None:
    group = {"prefix": "p/", "read_only": True}
    assert merged({"group": "g", "prefix": "q/"}, g=group) == {
        "group": "g",
        "prefix": "q/",
        "read_only": True,
    }


def test_of_two_groups_the_later_one_overrides() -> None:
    one, two = {"a": 1, "b": 1}, {"b": 2, "c": 2}
    assert without_group(merged({"group": ["one", "two"]}, one=one, two=two)) == {"a": 1, "b": 2, "c": 2}
    assert without_group(merged({"group": ["two", "one"]}, one=one, two=two)) == {"a": 1, "b": 1, "c": 2}


def test_tables_are_merged_name_by_name_and_lists_are_replaced() -> None:
    group = {"mounts": {"/in": {"rights": ["list", "read"], "prefix": "in/"}, "/out": {"prefix": "out/"}}}
    user = {"group": "g", "mounts": {"/in": {"rights": ["write"]}}}
    assert merged(user, g=group)["mounts"] == {
        "/in": {"rights": ["write"], "prefix": "in/"},
        "/out": {"prefix": "out/"},
    }
    assert merged({"group": "g", "mounts": 5}, g=group)["mounts"] == 5
    assert merged({"group": "g", "x": {"y": 1}}, g={"x": [1]})["x"] == {"y": 1}


def test_groups_of_groups_come_before_them_and_each_counts_once() -> None:
    base, a, b = {"x": "base", "y": "base"}, {"group": "base", "x": "a"}, {"group": "base", "z": "b"}
    found = groups_of(base=base, a=a, b=b).layers_of(Definition("users", "u", {"group": ["a", "b"]}, Place()))
    assert [each.name for each in found.definitions] == ["base", "a", "b", "u"]
    assert without_group(found.merged()) == {"x": "a", "y": "base", "z": "b"}  # b brings no second base


@pytest.mark.parametrize(
    ("named", "groups", "order"),
    [
        (["partners", "strict"], {"partners": "strict", "strict": ()}, "partners strict"),
        (["strict", "partners"], {"partners": "strict", "strict": ()}, "strict partners"),
        (["strict", "other", "strict"], {"strict": (), "other": ()}, "other strict"),
        (
            ["both", "partners"],
            {"both": ["partners", "strict"], "partners": "strict", "strict": ()},
            "strict both partners",
        ),
        (["a", "b"], {"a": "base", "b": "base", "base": ()}, "base a b"),
        (["a", "b", "base"], {"a": "base", "b": "base", "base": ()}, "a b base"),
        (["c"], {"a": "base", "b": "base", "base": (), "c": ["a", "b"]}, "base a b c"),
        (["c"], {"a": "base", "base": (), "c": ["a", "base"]}, "a base c"),
        (["a", "b"], {"a": "base", "b": ["more", "base"], "base": (), "more": ()}, "more base a b"),
        (["a", "b"], {"a": ["one", "two"], "b": ["two", "one"], "one": (), "two": ()}, "two one a b"),
        (["a", "b"], {"a": ["x", "base"], "x": "base", "b": "x", "base": ()}, "base x a b"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_of_groups_that_share_a_group_the_one_named_later_overrides(
    named: list[str], groups: dict[str, Any], order: str
) -> None:
    """A user's and a group's own list is followed to the letter, whatever its groups are built on; a shared
    group overrides nothing that is built on it."""
    known = groups_of(**{name: {"group": below} for name, below in groups.items()})
    found = known.layers_of(Definition("users", "u", {"group": named}, Place()))
    assert [each.name for each in found.definitions[:-1]] == order.split()


def test_a_group_that_is_named_last_has_the_last_word_on_rights() -> None:
    strict, partners = {"rights": "read-only"}, {"group": "strict", "rights": "read-write"}
    user = {"group": ["partners", "strict"]}
    assert merged(user, strict=strict, partners=partners)["rights"] == "read-only"


def test_the_name_of_the_user_stands_for_its_placeholder_at_any_depth() -> None:
    group = {
        "a": "x/${user}/${user}",
        "b": ["${user}"],
        "c": {"/${user}": {"d": "${user}"}},
        "e": 1,
        "f": "$user",
    }
    assert without_group(merged({"group": "g"}, g=group)) == {
        "a": "x/acme/acme",
        "b": ["acme"],
        "c": {"/acme": {"d": "acme"}},
        "e": 1,
        "f": "$user",
    }


def test_a_text_that_aliases_repeat_is_kept_once() -> None:
    text = "${user}" + "x" * 1000
    first, *others = merged({"directories": [text] * 1000})["directories"]
    assert first == "acme" + "x" * 1000
    assert all(each is first for each in others)


def test_merging_leaves_the_tables_of_the_files_as_they_are() -> None:
    group = {"attributes": {"a": "${user}"}}
    groups = groups_of(g=group)
    for name in ("one", "two"):
        user = Definition("users", name, {"group": "g", "attributes": {"b": "x"}}, Place())
        assert groups.layers_of(user).merged()["attributes"] == {"a": name, "b": "x"}
    assert group == {"attributes": {"a": "${user}"}}


def test_each_value_is_known_to_come_from_the_last_table_that_has_it() -> None:
    groups = groups_of(
        one={"prefix": "p/", "attributes": {"a": "1", "b": "1"}},
        two={"group": "one", "attributes": {"b": "2"}},
    )
    layers = groups.layers_of(
        Definition("users", "u", {"group": "two", "attributes": {"c": "3"}, "l": [1]}, Place())
    )
    assert layers.where("prefix") == "line of groups.one.prefix"
    assert layers.where("attributes", "a") == "line of groups.one.attributes.a"
    assert layers.where("attributes", "b") == "line of groups.two.attributes.b"
    assert layers.where("attributes", "c") == "line of users.u.attributes.c"
    assert layers.where("attributes", "d") == "line of users.u.attributes"
    assert layers.where("l", "0") == "line of users.u.l.0"
    assert layers.where("group") == "line of users.u.group"
    assert layers.where("read_only") == "line of users.u"
    assert layers.source("read_only") is None


@pytest.mark.parametrize(
    ("tables", "problem"),
    [
        (
            {"a": {"group": "a"}},
            "groups.a.group (line of groups.a.group): a group cannot be in itself: a → a",
        ),
        (
            {"a": {"group": "b"}, "b": {"group": ["c"]}, "c": {"group": "a"}},
            "groups.c.group (line of groups.c.group): a group cannot be in itself: a → b → c → a",
        ),
        (
            {"partners": {"group": "partnrs"}},
            "groups.partners.group = 'partnrs' (line of groups.partners.group): there is no such group;"
            " did you mean 'partners'?",
        ),
    ],
    ids=["itself", "circle", "unknown"],
)
def test_what_is_wrong_between_groups_is_told_once_whoever_has_them(
    tables: dict[str, Table], problem: str
) -> None:
    groups = groups_of(**tables)
    for name in ("one", "two"):
        groups.layers_of(Definition("users", name, {"group": list(tables)}, Place()))
    groups.examine()
    assert groups.problems == [problem]
    unused = groups_of(**tables)
    unused.examine()
    assert unused.problems == [problem]


def test_an_unknown_group_of_a_user_is_told_with_one_that_is_close() -> None:
    groups = groups_of(partners={})
    groups.layers_of(Definition("users", "u", {"group": ["partners", "partner"]}, Place()))
    [problem] = groups.problems
    assert problem.startswith("users.u.group = 'partner' (line of users.u.group): there is no such group")
    assert "did you mean 'partners'?" in problem
    assert groups.used == {"partners"}


def test_a_long_chain_of_groups_is_refused_and_not_followed_to_its_end() -> None:
    chain = {f"g{number}": {"group": f"g{number + 1}"} for number in range(5000)}
    groups = groups_of(**chain, g5000={})
    groups.examine()
    assert "groups should be nested at most 20 deep" in groups.problems[0]


def test_no_credential_is_an_option_of_groups() -> None:
    assert {"password_hash", "authorized_keys", "authorized_keys_file", "totp_secret"} <= (
        UserOptions.model_fields.keys() - GroupOptions.model_fields.keys()
    )
    assert [name for name in GroupOptions.model_fields if is_secret(name) or "key" in name] == []


NAMES = st.sampled_from("abc")
TABLES = st.recursive(
    st.integers(0, 3) | st.lists(st.integers(0, 3), max_size=2),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
TABLE = st.dictionaries(NAMES, TABLES, max_size=3)


def leaves(table: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if not isinstance(table, dict):
        return {path: table}
    return {k: v for name, value in table.items() for k, v in leaves(value, (*path, name)).items()}


@given(st.lists(TABLE, min_size=1, max_size=4), TABLE)
def test_every_value_of_a_user_is_that_of_the_last_table_that_names_it(
    groups: list[Table], own: Table
) -> None:
    named = {f"g{number}": table for number, table in enumerate(groups)}
    layers = groups_of(**named).layers_of(Definition("users", "u", {"group": list(named), **own}, Place()))
    for path, value in leaves(without_group(layers.merged())).items():
        source = layers.source(*path)
        assert source is not None
        at: Any = source.options
        for name in path:
            at = at[name]
        assert at == value
    for path, value in leaves(own).items():  # the user's own table always has its way
        at = layers.merged()
        for name in path:
            at = at[name]
        assert at == value

"""YAML means what was written: no type by surprise, nothing executed, nothing twice, nothing endless."""

from __future__ import annotations

import json
import math
import re
import time
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from s3sftp.config.yaml_text import YamlError, parse_yaml, yaml_lines


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "off",
        "y",
        "Yes",
        "1:20",
        "1_000",
        "2026-01-01",
        "0o8",
        "1e",
        "=",
        "NaN",
        "12:30:45",
        "0x",
        "${user}",
    ],
)
def test_what_only_looks_like_something_else_stays_the_text(text: str) -> None:
    assert parse_yaml(f"value: {text}\n{text}: 1") == {"value": text, text: 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("7", 7),
        ("-12", -12),
        ("0", 0),
        ("0x1F", 31),
        ("0o17", 15),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("'7'", "7"),
        ('"true"', "true"),
        ("!!str 7", "7"),
        ("|\n  7\n", "7\n"),
    ],
)
def test_the_core_schema_of_yaml_1_2_is_what_unquoted_values_are(text: str, value: object) -> None:
    found: Any = parse_yaml(f"value: {text}")
    assert found["value"] == value
    assert type(found["value"]) is type(value)


def test_keys_are_texts_as_they_are_written() -> None:
    assert parse_yaml("no: 1\n0123: 2\ntrue: 3\n7: 4\n~: 5") == {
        "no": 1,
        "0123": 2,
        "true": 3,
        "7": 4,
        "~": 5,
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 0123", r"begins with 0 is octal to some .*line 2, column 4"),
        ("a: -01", "begins with 0"),
        (
            "users:\n  acme: 1\n  bob: 1\n  acme: 2",
            "'acme' occurs twice, first in line 2 .at line 4, column 3",
        ),
        ("a: !!python/object/apply:os.system ['touch /tmp/x']", "tags are not read here .at line 1"),
        ("a: !env SECRET", "tags are not read here"),
        ("a: !!int 7", "tags are not read here"),
        ("a: !!binary aGk=", "tags are not read here"),
        ("? [a, b]\n: 1", "a key should be a text"),
        ("? !x a\n: 1", "a key should be a text"),
        ("a: &x [1, *x]", "an alias stands for something that contains it"),
        ("a: *nobody", "undefined alias"),
        ("a: 1\n---\na: 2", "second document .at line 2"),
        ("a: [1\nb: 2", "at line"),
        ("a: {user}/x", "at line 1"),
        ("a: '\nsecret", "at line 2"),
        ("a: \x01", "control characters are not allowed .at line 1"),
        ("a: 1\nb: " + "9" * 5000, "more than 100 digits .at line 2"),
        ("a: 1\nb: 0x" + "f" * 9000, "more than 100 digits .at line 2"),
        ("a: 1\nb: 0o" + "7" * 9000, "more than 100 digits .at line 2"),
        ("[" * 100_000, "nesting"),
        ("- " * 100_000, "nesting"),
        ("\n".join(" " * depth + "a:" for depth in range(2000)), "nesting"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(YamlError, match=problem) as caught:
        parse_yaml(text)
    assert "secret" not in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_an_alias_is_what_it_stands_for() -> None:
    assert parse_yaml("a: &x [1, 2]\nb: *x\nc: {d: *x}") == {"a": [1, 2], "b": [1, 2], "c": {"d": [1, 2]}}


def test_a_bomb_of_aliases_is_refused_before_it_fills_the_memory() -> None:
    levels = [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    began = time.process_time()
    with pytest.raises(YamlError, match="aliases stand for more than 100000 values"):
        parse_yaml("\n".join(["a: &a [x, x, x, x, x, x, x, x, x]", *levels]))
    assert time.process_time() - began < 10  # 0.1 s; the list has 387 million items


TEXTS = st.text(
    st.characters(
        codec="utf-8",
        exclude_categories=["Cc", "Cs"],
        exclude_characters="\x7f\u2028\u2029\ufeff\ufffe\uffff",
    )
)
# PyYAML knows the numbers of YAML 1.1 and leaves these without quotes
NUMBERS_OF_1_2_ALONE = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0o[0-7]+")


def json_values(texts: st.SearchStrategy[str]) -> st.SearchStrategy[object]:
    return st.recursive(
        st.none() | st.booleans() | st.integers(-(10**12), 10**12) | texts,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text("abc0:# -", max_size=5), inner, max_size=4)
        ),
        max_leaves=20,
    )


@pytest.mark.slow
@settings(deadline=None)
@given(json_values(TEXTS))
def test_json_is_yaml(value: object) -> None:
    assert parse_yaml(json.dumps(value, ensure_ascii=False)) == value


@settings(deadline=None)
@given(json_values(TEXTS.filter(lambda text: not NUMBERS_OF_1_2_ALONE.fullmatch(text))))
def test_what_pyyaml_writes_is_read_as_it_was(value: object) -> None:
    """It puts in quotes what YAML 1.1 would take for something else."""
    assert parse_yaml(yaml.safe_dump(value, allow_unicode=True)) == value


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text("abc", min_size=1, max_size=4), st.lists(st.integers(), min_size=1, max_size=3), min_size=1
    )
)
def test_each_key_and_item_has_its_line(value: dict[str, list[int]]) -> None:
    text = yaml.safe_dump({"top": value}, default_flow_style=False)
    lines = yaml_lines(text)
    written = [line.strip() for line in text.splitlines()]
    for name, items in value.items():
        at = lines["top", name]
        assert written[at - 1].strip("'\"").startswith(name) or written[at - 1].startswith(("'", '"'))
        for number, item in enumerate(items):
            assert lines["top", name, str(number)] == at + 1 + number
            assert written[at + number] == f"- {item}"

"""The guides name nothing that is not there: options, commands and their flags, log events, metrics."""

from __future__ import annotations

import re

import pytest

from tests.docs.guides import (
    DOCS,
    GUIDES,
    ROOT,
    blocks,
    commands,
    events_of_tables,
    groups,
    is_event,
    is_option,
    may_be_event,
    options,
    options_in_toml,
    options_in_values,
    problem_of_command,
    spans,
    text_of,
)

_FIELDS = {"code", "debug", "SlowDown"}
"""What stands beside events, and is none: fields of them, and values of those."""
pages = pytest.mark.parametrize("page", GUIDES)


@pages
def test_every_option_exists(page: str) -> None:
    of_groups = "|".join(sorted(groups()))
    named = [
        span
        for text in spans(page)
        for span in re.findall(rf"^((?:{of_groups})\.(?!example\b)[a-z0-9_]+)\b", text)
    ]
    named += [name for block in blocks(page, "toml") for name in options_in_toml(block)]
    named += [name for block in blocks(page, "yaml") for name in options_in_values(block)]
    assert [name for name in named if not is_option(name) and not is_event(name)] == []


@pages
def test_every_environment_variable_exists(page: str) -> None:
    names = re.findall(r"\bS3SFTP_[A-Z0-9_]+", text_of(page))
    known = {f"S3SFTP_{option.upper().replace('.', '__')}" for option in options()} | {"S3SFTP_CONFIG"}
    assert set(names) - known == set()


@pages
def test_every_command_and_flag_exists(page: str) -> None:
    ours = [re.sub(r"^.*-- (?=s3sftp )", "", line) for line in commands(page)]
    problems = [problem_of_command(line) for line in ours if line.startswith("s3sftp ")]
    assert [problem for problem in problems if problem] == []


@pages
def test_every_target_of_make_exists(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    named = re.findall(r"^make (\w[\w-]*)", "\n".join((*commands(page), *spans(page))), re.M)
    assert [name for name in named if not re.search(rf"^{name}:", makefile, re.M)] == []


@pages
def test_every_log_event_exists(page: str) -> None:
    named = {span for span in spans(page) if may_be_event(span) and not is_option(span)}
    named |= {*events_of_tables(page)} - _FIELDS
    assert sorted(name for name in named if not is_event(name)) == []


def test_log_events_are_found_in_the_tables() -> None:
    assert {"login.accepted", "login.failed", "connection.negotiation_failed", "s3.request_retried"} <= set(
        events_of_tables("runbooks.md")
    )


@pages
def test_every_metric_is_on_the_page_of_metrics(page: str) -> None:
    named = re.findall(r"\bs3sftp_[a-z0-9_]+", text_of(page))
    listed = (DOCS / "metrics.md").read_text("utf-8") if named else ""
    assert [name for name in named if name not in listed] == []


@pages
def test_every_line_of_check_that_is_named_is_one(page: str) -> None:
    looks = (ROOT / "s3sftp/backends/s3/preflight").glob("*.py")
    source = "".join(file.read_text("utf-8") for file in [*looks, ROOT / "s3sftp/cli/check.py"])
    named = re.findall(r"`s3sftp check`: line `([a-z ]+)`", text_of(page))
    if page == "stores.md":
        table = text_of(page).split("| line of `check` |")[1].split("\n\n")[0]
        named += re.findall(r"^\| `([a-z ]+)` \|", table, re.M)
    assert [name for name in named if f'"{name}"' not in source] == []


@pages
def test_every_directory_of_the_repository_exists(page: str) -> None:
    text = text_of(page)
    named = re.findall(r"(?<![\w./-])((?:helm|terraform|tests|examples|deploy)/[\w./-]*\w)", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_checks_of_this_file_find_what_is_wrong() -> None:
    assert not is_option("s3.part_byte")
    assert not is_option("users.NAME.keys")
    assert not is_event("login.withdrawn")
    assert may_be_event("login.withdrawn")
    assert problem_of_command("s3sftp chek") is not None
    assert problem_of_command("s3sftp check --of-line") is not None
    assert problem_of_command("s3sftp host-key show --port 22 | sort") is None

"""Whatever a client sends, each form of the log says exactly that, in one line, in one field."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import re
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from s3sftp.telemetry import get_logger
from s3sftp.telemetry.audit import AuditLog
from s3sftp.telemetry.log_setup import configure_logging
from s3sftp.telemetry.logs import printable
from s3sftp.telemetry.options import LogOptions
from tests.support.logs import logging_restored

FORMS = ("json", "logfmt", "text")
FORGED = 'x\\" level=error event=login.accepted user="root'
_NASTY = st.sampled_from(
    [
        *("\n", "\r\n", "\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x00", "\x7f", "\x9b2J"),
        *("\x1b[2J", "\x1b]0;title\x07", "\u202e", "\u2066", "\u200b", "\ufeff", "\ufff9", "\U000e0041"),
        *('"', "\\", '\\"', "=", " ", "'", "{", "}", ", ", '", "hash": "', "\udcff", "\ud800", "é", "名"),
    ]
)
texts = st.lists(_NASTY | st.text(max_size=5), max_size=12).map("".join)
values = (
    texts
    | texts.map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.binary(max_size=30)
    | st.lists(texts, max_size=3)
    | st.dictionaries(texts, texts, max_size=3)
)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Put logging back as it was."""
    with logging_restored():
        yield


def written(form: str, value: object) -> str:
    stream = io.StringIO()
    configure_logging(LogOptions(format=form), stream)  # type: ignore[arg-type]
    get_logger("s3sftp.test").info("upload.committed", path=value, last=1)
    return stream.getvalue()


def fields_of(text: str) -> dict[str, str]:
    """A strict reader of logfmt, by the grammar of github.com/kr/logfmt: fails if anything is left over."""
    found: dict[str, str] = {}
    pair = re.compile(r'([^\s"=]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s"=]*))(?: |$)')
    while text:
        match = pair.match(text)
        assert match is not None, text
        name, quoted, bare = match.groups()
        assert name not in found, "a field is there twice"
        found[name] = re.sub(r"\\(.)", r"\1", quoted) if bare is None else bare
        text = text[match.end() :]
    return found


@pytest.mark.parametrize("form", FORMS)
@given(value=values)
@example(value=FORGED)
@example(value="\\")
@example(value="")
def test_a_value_stays_in_its_field_and_its_line(form: str, value: object) -> None:
    text = written(form, value)
    assert text.endswith("\n")
    line = text[:-1]
    assert line.isprintable()
    if form == "json":
        read = json.loads(line)
        assert read.keys() == {"event", "level", "logger", "timestamp", "path", "last"}
        if isinstance(value, str):
            assert read["path"] == printable(value)
        return
    if form == "text":
        head = re.match(r"\d\d:\d\d:\d\d\.\d\d\d info    upload\.committed +", line)
        assert head is not None
        line = line[head.end() :]
    fields = fields_of(line)
    assert list(fields)[-2:] == (["path", "last"] if form == "text" else ["last", "logger"])
    assert fields["last"] == "1"
    if isinstance(value, str):
        assert fields["path"] == printable(value)
    assert ("event" in fields) is (form == "logfmt")


@given(value=values, key=texts)
@example(value='", "chain": "0123456789abcdef"', key="hash")
def test_nor_can_it_forge_a_field_or_a_line_of_the_audit_log(value: object, key: str) -> None:
    lines: list[bytes] = []
    AuditLog(lines.append).record("request.refused", {"path": value, key: value, "hash": value, "number": 7})
    (line,) = lines
    assert line.endswith(b"}\n")
    assert line[:-1].isascii()
    assert line[:-1].decode().isprintable()
    read = json.loads(line)
    assert (read["event"], read["number"]) == ("request.refused", 1)
    assert read.keys().isdisjoint({"hash", "chain", "previous"})


def test_the_form_is_text_on_a_terminal_and_json_elsewhere() -> None:
    assert json.loads(written("auto", "x"))["path"] == "x"
    controlling, terminal = pty.openpty()
    with os.fdopen(controlling, "rb", buffering=0) as reader, os.fdopen(terminal, "w") as stream:
        configure_logging(LogOptions(), stream)
        get_logger("s3sftp.test").info("upload.committed", path="/a b", bytes=7)
        get_logger("s3sftp.test").warning("upload.failed", path="\x1b[2J")
        stream.flush()
        shown = ""
        while shown.count("\n") < 2:
            shown += reader.read(4096).decode()
    first, second = shown.replace("\r\n", "\n").splitlines()
    assert re.fullmatch(r'\d\d:\d\d:\d\d\.\d{3} info    upload\.committed +path="/a b" bytes=7', first)
    assert second.count("\x1b") == 2, "only the level is coloured"
    assert re.search(r"\x1b\[33mwarning\x1b\[0m upload\.failed +path=\\x1b\[2J$", second)


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    controlling, terminal = pty.openpty()
    with os.fdopen(controlling, "rb", buffering=0) as reader, os.fdopen(terminal, "w") as stream:
        configure_logging(LogOptions(), stream)
        get_logger("s3sftp.test").error("upload.failed")
        stream.flush()
        assert b"\x1b" not in reader.read(4096)


class _Gone(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


class _Closed(io.StringIO):
    def flush(self) -> None:
        raise ValueError("I/O operation on closed file")


@pytest.mark.parametrize("stream", [_Gone(), _Closed()])
def test_a_log_that_nobody_can_read_fails_nothing(stream: io.StringIO) -> None:
    configure_logging(LogOptions(), stream)
    get_logger("s3sftp.test").info("upload.committed", path="/a")


def test_our_lines_do_not_pass_through_the_standard_librarys_loggers() -> None:
    passed: list[logging.LogRecord] = []
    stream = io.StringIO()
    configure_logging(LogOptions(), stream)
    (handler,) = (each for each in logging.root.handlers if getattr(each, "stream", None) is stream)
    handler.addFilter(passed.append)  # type: ignore[arg-type]
    get_logger("s3sftp.test").info("upload.committed", path="/a")
    assert passed == []
    assert json.loads(stream.getvalue())["event"] == "upload.committed"


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no words\nfor this")

    __str__ = __repr__


@pytest.mark.parametrize("form", FORMS)
def test_a_value_that_cannot_be_told_fails_nothing_and_the_event_is_still_told(form: str) -> None:
    [line] = written(form, Unspeakable()).splitlines()
    assert json.loads(line)["event"] == "upload.committed"
    assert "no words" in line

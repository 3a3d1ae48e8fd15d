"""What is written about what happens: one line an event, nothing forged, traces only when asked for."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.errors import ConfigurationError
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.log_setup import configure_logging
from s3sftp.telemetry.log_throttle import LogThrottle
from s3sftp.telemetry.logs import MAX_CHARS, printable
from s3sftp.telemetry.options import LogOptions
from s3sftp.telemetry.otel import configure_tracing
from tests.cli.command_process import batch, serving_from_memory, sftp_command
from tests.support.logs import logging_restored

HOSTILE = 'a\nb\r\x1b[31m\u2028\u202e\x00\x85"= level=error \udcff'


@pytest.fixture
def restored() -> Iterator[None]:
    """Put logging back as it was."""
    with logging_restored():
        yield


def written(options: LogOptions, value: object) -> str:
    stream = io.StringIO()
    configure_logging(options, stream)
    get_logger("s3sftp.test").info("happened", value=value, nothing=None)
    return stream.getvalue()


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("form", ["json", "logfmt"])
def test_what_a_client_sends_cannot_break_the_line_or_forge_a_field(form: str) -> None:
    text = written(LogOptions(format=form), {"name": HOSTILE} if form == "json" else HOSTILE)  # type: ignore[arg-type]
    assert text.count("\n") == 1
    assert text.rstrip("\n").isprintable()
    assert text.encode("ascii")
    assert "nothing" not in text
    if form == "json":
        event = json.loads(text)
        assert (event["event"], event["level"], event["logger"]) == ("happened", "info", "s3sftp.test")
    else:
        assert 'level=info event=happened value="a' in text


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("value", ["x" * 5000, b"x" * 5000, ["x" * 5000], "\x1b" * 5000])
def test_long_values_are_cut(value: object) -> None:
    assert len(written(LogOptions(), value)) < MAX_CHARS + 500


@given(st.text(max_size=2000))
def test_whatever_the_text_it_comes_out_printable_and_short(text: str) -> None:
    out = printable(text)
    assert out.isprintable()
    assert len(out) <= MAX_CHARS + 1
    if text.isprintable() and len(text) <= MAX_CHARS:
        assert out == text


@pytest.mark.usefixtures("restored")
def test_libraries_warnings_and_tracebacks_come_through_the_same_formatter() -> None:
    stream = io.StringIO()
    configure_logging(LogOptions(), stream)
    logging.getLogger("asyncssh").info("not this")
    logging.getLogger("asyncssh").warning("peer said %s", "\n{}")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("careful", stacklevel=1)
    try:
        raise ValueError("inside\nout")
    except ValueError:
        get_logger("s3sftp.test").exception("failed")
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["level"] for event in events] == ["warning", "warning", "error"]
    assert events[0]["event"] == "peer said \\n{}"
    assert "ValueError: inside" in events[2]["exception"]


@pytest.mark.usefixtures("restored")
def test_events_below_the_level_are_not_written() -> None:
    assert written(LogOptions(level="warning"), "x") == ""


def test_equal_events_are_told_once_in_a_while_with_how_many_were_not() -> None:
    throttle = LogThrottle(interval=1.0)
    assert [throttle.allow("a", now) for now in (0, 0.1, 0.2, 1.0, 1.1)] == [0, None, None, 2, None]
    assert throttle.allow("b", 0.1) == 0


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "console"},
        {"OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
    ],
)
def test_nothing_is_installed_when_the_environment_asks_for_nothing(environ: dict[str, str]) -> None:
    assert configure_tracing(environ) is None


def test_an_exporter_that_is_not_installed_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"zipkin.*otlp_proto_http"):
        configure_tracing({"OTEL_TRACES_EXPORTER": "zipkin"})


def test_a_server_told_to_trace_to_the_console_writes_the_spans_of_each_operation(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with serving_from_memory(tmp_path, OTEL_TRACES_EXPORTER="console", OTEL_SERVICE_NAME="ours") as server:
        assert batch(sftp_command(server.port, tmp_path / "key"), f"put {tmp_path}/file\n").returncode == 0
        assert server.process.stop() == 0
        out = server.process.output()
        assert '"name": "sftp.CLOSE"' in out
        assert '"service.name": "ours"' in out


def test_a_collector_that_is_down_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with serving_from_memory(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1") as server:
        assert batch(sftp_command(server.port, tmp_path / "key"), "ls\n").returncode == 0
        assert server.process.stop(grace=12) == 0


@pytest.mark.usefixtures("restored")
def test_libraries_say_nothing_of_credentials_by_themselves() -> None:
    configure_logging(LogOptions())
    for name in ("botocore.credentials", "aiobotocore.credentials", "aiobotocore.tokens"):
        assert not logging.getLogger(name).isEnabledFor(logging.WARNING)

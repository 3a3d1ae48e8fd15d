"""Configures logging for the process. Only the command line calls it; a library must not."""

from __future__ import annotations

import json
import logging
import os
import sys
from contextlib import nullcontext, suppress
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, ProcessorReturnValue, WrappedLogger

from s3sftp.errors import describe_unexpected
from s3sftp.telemetry.log_forms import TextRenderer
from s3sftp.telemetry.logs import escape_event, get_logger, printable, renew_loggers
from s3sftp.telemetry.options import LogOptions
from s3sftp.telemetry.stderr_writer import install_stderr_writer
from s3sftp.telemetry.trace_ids import add_trace_ids

_QUIET = ("asyncssh", "asyncio", "aiobotocore", "botocore", "urllib3", "aiohttp", "opentelemetry")
"""Libraries that log only from WARNING up: below that they repeat, for each packet, what we log for each
operation."""
_LOGGED_OTHERWISE = tuple(
    f"{library}.{module}" for library in ("botocore", "aiobotocore") for module in ("credentials", "tokens")
)
"""Loggers that write a traceback where our event `credentials.failed` has one line."""


def configure_logging(
    options: LogOptions, stream: TextIO | None = None, *, worker: int | None = None
) -> None:
    """Send every event, ours and the libraries', to standard error in one form.

    Ours do not pass through the standard library's loggers, which cost more than all the rest of a line.

    With several workers, each event names its worker.
    """
    output = stream or sys.stderr
    handler = logging.StreamHandler(output)
    common = _common(worker)
    rendering = _that_cannot_fail(_renderer(options, is_terminal=_is_terminal(output)))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=common,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, rendering],
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    _set_level(options.level)
    for name in _LOGGED_OTHERWISE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[*common, rendering],
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        logger_factory=lambda name: _LineLogger(name, handler),
        cache_logger_on_first_use=True,
    )


def change_log_level(level: str) -> None:
    """Log from another level on, in this process. READs are logged by sessions that begin afterwards."""
    _set_level(level)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.getLogger().level))
    renew_loggers()


def log_level() -> str:
    """The level from which this process logs, as in the options."""
    return logging.getLevelName(logging.getLogger().level).lower()


def _set_level(level: str) -> None:
    root = logging.getLogger()
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def configure_nonblocking_logging(options: LogOptions, *, worker: int | None = None) -> None:
    """The same for a serving process: no code in it waits for the reader of standard error."""
    configure_logging(options, install_stderr_writer(_report_dropped), worker=worker)


def _report_dropped(lines: int) -> None:
    get_logger("s3sftp.telemetry").warning(
        "log.lines_dropped", lines=lines, detail="nobody read standard error, or not fast enough"
    )


def _common(worker: int | None) -> list[Processor]:
    def add_worker(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["worker"] = worker
        return event

    return [
        *([] if worker is None else [add_worker]),
        structlog.contextvars.merge_contextvars,
        add_trace_ids,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]


def _is_terminal(stream: TextIO) -> bool:
    try:
        return os.isatty(stream.fileno())
    except OSError:  # it is in memory
        return False


class _LineLogger:
    """What structlog calls a logger: writes lines that are rendered already to the stream of a handler."""

    def __init__(self, name: str, handler: logging.StreamHandler[TextIO]) -> None:
        self.name = name
        self._handler = handler

    def msg(self, line: str) -> None:
        """Write a line. Like a handler of the standard library, it does not raise if nobody can read it."""
        with self._handler.lock or nullcontext(), suppress(OSError, ValueError):
            self._handler.stream.write(line + "\n")
            self._handler.flush()

    debug = info = warning = error = critical = msg


def _that_cannot_fail(renderer: Processor) -> Processor:
    """Escape and render an event. A value that cannot be rendered costs the event its fields, and never fails
    the operation that logs it."""

    def render(logger: WrappedLogger, method: str, event: EventDict) -> ProcessorReturnValue:
        name = event.get("event")
        try:
            return renderer(logger, method, escape_event(logger, method, event))
        except Exception as error:  # whatever a value's own conversion raises
            return json.dumps(
                {"event": str(name), "level": method, "unrendered": printable(describe_unexpected(error))}
            )

    return render


def _renderer(options: LogOptions, *, is_terminal: bool) -> Processor:
    has_colours = is_terminal and not os.environ.get("NO_COLOR")  # https://no-color.org
    match options.format:
        case "logfmt":
            return structlog.processors.LogfmtRenderer(
                key_order=["timestamp", "level", "event"], bool_as_flag=False
            )
        case "text":
            return TextRenderer(colours=has_colours)
        case "auto" if is_terminal:
            return TextRenderer(colours=has_colours)
        case _:
            return structlog.processors.JSONRenderer()

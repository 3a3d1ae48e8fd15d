"""Structured logs: one line for each event, with values escaped and cut.

The process decides where they go: the command line, or an application that has configured structlog. In an
application that has not, events go to the standard library's loggers of the same names, as text and at those
loggers' levels, so nothing is written that the application has not asked for.

File names, user names and client versions reach the log as the client sent them. An attacker who can put a
line feed, a terminal escape or a right-to-left override into one could forge or hide other events. So values
have no control characters, no line breaks, and a bounded length.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any, cast
from weakref import WeakSet

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from s3sftp.telemetry.event_tap import tap
from s3sftp.telemetry.trace_ids import add_trace_ids

MAX_CHARS = 1000
"""Maximum length of a value; longer ones are cut."""
_MAX_TRACEBACK_CHARS = 16_000
_MAX_ITEMS = 50
_NUMBERS = frozenset({bool, int, float})
_fields = structlog.processors.LogfmtRenderer(bool_as_flag=False)


def get_logger(name: str) -> FilteringBoundLogger:
    """A logger whose events carry `logger=name`. How an event is written is decided when it is logged."""
    return cast(FilteringBoundLogger, _Logger(name))


class _Logger:
    """Uses structlog if it has been configured, and the standard library's logger otherwise."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._configured = structlog.get_logger(name)
        _loggers.add(self)

    def renew(self) -> None:
        """Follow structlog's configuration, which a logger keeps from its first event on."""
        self._configured = structlog.get_logger(self._name)

    def __getattr__(self, method: str) -> Any:
        write = getattr(self._target(), method)
        return tap.tapped(method, write) if tap.names else write

    def _target(self) -> Any:
        if structlog.is_configured():
            return self._configured
        return _plain(self._name, logging.getLogger(self._name).getEffectiveLevel())


_loggers: WeakSet[_Logger] = WeakSet()


def renew_loggers() -> None:
    """Have all loggers follow structlog's configuration as it is now."""
    for each in list(_loggers):
        each.renew()


@cache
def _plain(name: str, level: int) -> FilteringBoundLogger:
    return cast(
        FilteringBoundLogger,
        structlog.wrap_logger(
            logging.getLogger(name),
            processors=[add_trace_ids, structlog.processors.format_exc_info, escape_event, _as_text],
            wrapper_class=structlog.make_filtering_bound_logger(level),
        ).bind(),
    )


def _as_text(logger: WrappedLogger, method: str, event: EventDict) -> str:
    """One line, such as `login.failed user=alice source=192.0.2.1`, whatever a client put into the values."""
    name = event.pop("event")
    return f"{name} {_fields(logger, method, event)}".rstrip()


def escape_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A structlog processor that makes every value of the event printable and short, and drops None."""
    for name, value in list(event.items()):
        if value is None:
            del event[name]
        elif type(value) in _NUMBERS:
            continue
        elif type(value) is not str or not value.isprintable() or len(value) > MAX_CHARS:
            event[name] = _harmless(value, _MAX_TRACEBACK_CHARS if name == "exception" else MAX_CHARS)
    return event


def _harmless(value: object, limit: int = MAX_CHARS) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return printable(bytes(value[: limit + 1]).decode("utf-8", "surrogateescape"), limit)
    if isinstance(value, dict):
        items = list(value.items())[:_MAX_ITEMS]
        return {printable(str(key)): _harmless(item, limit) for key, item in items}
    if isinstance(value, list | tuple | set | frozenset):
        return [_harmless(item, limit) for item in list(value)[:_MAX_ITEMS]]
    return printable(value if isinstance(value, str) else str(value), limit)


def printable(text: str, limit: int = MAX_CHARS) -> str:
    """The text with all characters escaped that are not printable, cut at `limit` characters."""
    if text.isprintable() and len(text) <= limit:
        return text
    pieces: list[str] = []
    length = 0
    for char in text[: limit + 1]:
        piece = char if char.isprintable() else _escape(char)
        length += len(piece)
        if length > limit:
            return "".join(pieces) + "…"
        pieces.append(piece)
    return "".join(pieces)


def printable_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a span, with texts as the log has them. One that is not UTF-8 would fail the export
    of all spans of its batch, and long ones could fill memory while the collector is down."""
    return {name: printable(value) if isinstance(value, str) else value for name, value in attributes.items()}


def _escape(char: str) -> str:
    r"""The escape of a Python string literal; `\xNN` for a byte that was not UTF-8."""
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")

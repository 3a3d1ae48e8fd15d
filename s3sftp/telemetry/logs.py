"""Structured logs: one line for each event, with values escaped and cut.

The process decides where they go: the command line, or an application that has configured structlog. In an
application that has not, events go to the standard library's loggers of the same names, as text and at those
loggers' levels, so nothing is written that the application has not asked for.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from s3sftp.telemetry.escape import escape_event

_fields = structlog.processors.LogfmtRenderer(bool_as_flag=False)


def get_logger(name: str) -> FilteringBoundLogger:
    """A logger whose events carry `logger=name`. How an event is written is decided when it is logged."""
    return cast(FilteringBoundLogger, _Logger(name))


class _Logger:
    """Uses structlog if it has been configured, and the standard library's logger otherwise."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._configured = structlog.get_logger(name)

    def __getattr__(self, method: str) -> Any:
        if structlog.is_configured():
            return getattr(self._configured, method)
        return getattr(_plain(self._name, logging.getLogger(self._name).getEffectiveLevel()), method)


@cache
def _plain(name: str, level: int) -> FilteringBoundLogger:
    return cast(
        FilteringBoundLogger,
        structlog.wrap_logger(
            logging.getLogger(name),
            processors=[structlog.processors.format_exc_info, escape_event, _as_text],
            wrapper_class=structlog.make_filtering_bound_logger(level),
        ).bind(),
    )


def _as_text(logger: WrappedLogger, method: str, event: EventDict) -> str:
    """One line, such as `login.failed user=alice source=192.0.2.1`, whatever a client put into the values."""
    name = event.pop("event")
    return f"{name} {_fields(logger, method, event)}".rstrip()

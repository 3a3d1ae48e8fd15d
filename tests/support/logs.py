"""The logging of the test process: configured as `s3sftp serve` configures it, and put back afterwards.

`capture_events` is for tests that read log events; `logging_as_served` is for servers in this process. Both
run `configure_logging` itself, so that code which asks for the log level takes the branch that users have.
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, Literal

import structlog

from s3sftp.telemetry.log_setup import configure_logging
from s3sftp.telemetry.options import LogOptions

Event = dict[str, Any]
"""The fields of a log event, with `event` (its name), `log_level`, and `exception` if it has a traceback."""
Level = Literal["debug", "info", "warning", "error"]

_level: Level | None = None
"""That of the enclosing `logging_as_served`."""


@contextmanager
def capture_events(level: Level | None = None) -> Iterator[list[Event]]:
    """Log as `s3sftp serve` does, and collect the events that it would write.

    Without a level it is the enclosing block's, or `info`, the default of `log.level`.
    """
    events: list[Event] = []
    with logging_as_served(events.append, level):
        yield events


@contextmanager
def logging_as_served(collect: Callable[[Event], None], level: Level | None = None) -> Iterator[None]:
    """Log as `s3sftp serve` does: pass each event to `collect`, format it, and write it nowhere."""
    global _level
    before, enclosing = LoggingState.now(), _level
    of_pytest = [handler for handler in logging.root.handlers if _is_pytests(handler)]
    _level = level or enclosing or LogOptions().level
    configure_logging(LogOptions(level=_level), _Nowhere())
    logging.captureWarnings(capture=False)  # pytest makes errors of warnings
    logging.root.handlers.extend(of_pytest)  # a test that fails shows what was logged
    structlog.configure(
        processors=[_collector(collect, of_pytest), *structlog.get_config()["processors"]],
        cache_logger_on_first_use=False,  # the loggers of modules outlive this block
    )
    try:
        yield
    finally:
        _level = enclosing
        before.restore()


@contextmanager
def logging_restored() -> Iterator[None]:
    """Undo whatever the block does to logging."""
    before = LoggingState.now()
    try:
        yield
    finally:
        before.restore()


def keep_no_log() -> None:
    """For tests that count memory: pytest keeps what is logged, to show it where the test fails.

    It does so again in the next phase of the test.
    """
    for handler in list(logging.root.handlers):
        if _is_pytests(handler):
            logging.root.removeHandler(handler)


@dataclass(frozen=True)
class LoggingState:
    """How logging is configured in this process."""

    structlog: Mapping[str, Any] | None
    """None: not configured, so that events go to the standard library's loggers."""
    handlers: tuple[logging.Handler, ...]
    """Of the root logger, without pytest's own."""
    levels: Mapping[str, int]
    """Of the loggers that have one."""
    captures_warnings: bool

    @classmethod
    def now(cls) -> LoggingState:
        return cls(
            structlog=structlog.get_config() if structlog.is_configured() else None,
            handlers=tuple(handler for handler in logging.root.handlers if not _is_pytests(handler)),
            levels={name: logger.level for name, logger in _loggers().items() if logger.level},
            captures_warnings=logging._warnings_showwarning is not None,  # type: ignore[attr-defined]
        )

    def changes(self) -> list[str]:
        """What is no longer so."""
        now = LoggingState.now()
        pairs = ((field.name, getattr(self, field.name), getattr(now, field.name)) for field in fields(self))
        return [f"{name} was {before!r}, is {after!r}" for name, before, after in pairs if before != after]

    def restore(self) -> None:
        of_pytest = [handler for handler in logging.root.handlers if _is_pytests(handler)]
        logging.root.handlers[:] = [*self.handlers, *of_pytest]
        for name, logger in _loggers().items():
            logger.setLevel(self.levels.get(name, logging.NOTSET))
        logging.captureWarnings(self.captures_warnings)
        structlog.reset_defaults()
        if self.structlog is not None:
            structlog.configure(**self.structlog)
        _forget_cached_loggers()


def _collector(
    collect: Callable[[Event], None], of_pytest: Sequence[logging.Handler]
) -> structlog.typing.Processor:
    def processor(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        whole = {**structlog.processors.format_exc_info(logger, method, dict(event)), "log_level": method}
        collect(whole)
        level = logging.getLevelName(method.upper())
        record = logging.makeLogRecord({"name": logger.name, "levelno": level, "msg": whole})
        for handler in of_pytest:
            if level >= handler.level:
                handler.handle(record)
        return event

    return processor


class _Nowhere(io.TextIOBase):
    def write(self, text: str) -> int:
        return len(text)


def _is_pytests(handler: logging.Handler) -> bool:
    return type(handler).__module__ == "_pytest.logging"


def _loggers() -> dict[str, logging.Logger]:
    known = logging.root.manager.loggerDict.items()
    return {"root": logging.root} | {name: each for name, each in known if isinstance(each, logging.Logger)}


def _forget_cached_loggers() -> None:
    """Undo `cache_logger_on_first_use`, by which the loggers of modules keep their first configuration."""
    for name, module in list(sys.modules.items()):
        if name.startswith("s3sftp.") and (log := getattr(module, "_log", None)) is not None:
            log._configured.__dict__.pop("bind", None)

"""The form of an event for people at a terminal: one line, which nobody can forge by what a value contains.

    15:31:23.123 info    upload.committed         path="/a b.csv" bytes=7

`logs.escape_event` has made all values printable before.
"""

from __future__ import annotations

import structlog
from structlog.typing import EventDict, WrappedLogger

_COLOURS = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
_PLAIN = "\x1b[0m"


class TextRenderer:
    """A structlog renderer: the time of day (UTC), level and event in columns, then the fields as in logfmt,
    without the logger."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = _COLOURS if colours else {}
        self._fields = structlog.processors.LogfmtRenderer(bool_as_flag=False)

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> str:
        time, level, name = (str(event.pop(each, "")) for each in ("timestamp", "level", "event"))
        event.pop("logger", None)
        colour = self._colours.get(level, "")
        plain = _PLAIN if colour else ""
        fields = self._fields(logger, method, event)
        if " " in name:  # a library's text
            name = self._fields(logger, method, {"said": name})
        return f"{time[11:23]} {colour}{level:<7}{plain} {name:<24} {fields}".rstrip()

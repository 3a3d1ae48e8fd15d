"""Structured logs: one event a line, escaped, cut."""

from __future__ import annotations

from typing import cast

import structlog
from structlog.typing import FilteringBoundLogger


def get_logger(name: str) -> FilteringBoundLogger:
    """A logger whose events carry `logger=name`; how they are written is decided when one is."""
    return cast(FilteringBoundLogger, structlog.get_logger(name))

"""Manages the limit of open file descriptors, and how many of them connections may use."""

from __future__ import annotations

import contextlib
import os
import resource
import sys

BASE = 64
"""Descriptors that a process uses besides connections: libraries, event loop, state directory."""


def limit() -> int:
    """How many descriptors this process may have open."""
    return _number(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def raise_limit() -> int:
    """Raise the soft limit to the hard limit, as far as allowed; return the new limit."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS does not accept "unlimited"
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return limit()


def for_connections(others: int) -> int:
    """How many descriptors connections may use if the rest of the process opens `others`."""
    all_of_them = limit()
    return all_of_them - min(others + BASE, all_of_them // 2)


def has_room(any_open: int, others: int) -> bool:
    """Whether one more connection leaves the rest of the process enough descriptors.

    The kernel assigns the lowest free number, so a duplicate of `any_open` shows a lower bound of how many
    are open.
    """
    try:
        probe = os.dup(any_open)
    except OSError:
        return False
    os.close(probe)
    return probe < for_connections(others)


def _number(given: int) -> int:
    return sys.maxsize if given == resource.RLIM_INFINITY else given

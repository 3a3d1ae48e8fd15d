"""How many descriptors this process may have open, and how many of them connections must leave alone."""

from __future__ import annotations

import contextlib
import os
import resource
import sys

BASE = 64
"""For what a process has open besides connections: libraries, event loop, state directory."""


def limit() -> int:
    """How many this process may have open."""
    return _number(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def raise_limit() -> int:
    """Raise the soft limit to the hard limit, as far as that is allowed; the limit from now on."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS takes no "unlimited"
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return limit()


def for_connections(others: int) -> int:
    """How many of all connections may take, where the rest of the process opens so many others."""
    all_of_them = limit()
    return all_of_them - min(others + BASE, all_of_them // 2)


def has_room(any_open: int, others: int) -> bool:
    """Whether one more connection can be taken, and leaves the rest of the process what it needs.

    The kernel gives the lowest number that is free, so a copy of any says how many there are at least.
    """
    try:
        probe = os.dup(any_open)
    except OSError:
        return False
    os.close(probe)
    return probe < for_connections(others)


def _number(given: int) -> int:
    return sys.maxsize if given == resource.RLIM_INFINITY else given

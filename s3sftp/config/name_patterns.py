"""Patterns of names and of paths, such as `*.csv`. Pure.

`*` is any text, `?` one character, `[…]` one of these. Upper and lower case are the same, because
clients change it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate
from functools import lru_cache

_MAX_PATTERN_CHARS = 200
_MAX_STARS = 8


def pattern_problem(pattern: str) -> str | None:
    """The problem with a name pattern; None if it is usable."""
    if not pattern or "/" in pattern or "\0" in pattern:
        return f"pattern {pattern[:40]!r} should match a name, such as '*.csv'; names have no slashes"
    return _size_problem(pattern)


def path_pattern_problem(pattern: str) -> str | None:
    """The problem with a pattern of paths; None if it is usable."""
    if not pattern or "\0" in pattern or pattern.endswith("/"):
        return f"pattern {pattern[:40]!r} should match files, such as '*.csv' or '/in/*.csv'"
    return _size_problem(pattern)


def _size_problem(pattern: str) -> str | None:
    if len(pattern) > _MAX_PATTERN_CHARS:
        return f"pattern {pattern[:40]!r}… is longer than {_MAX_PATTERN_CHARS} characters"
    if pattern.count("*") > _MAX_STARS:
        return f"pattern {pattern[:40]!r} has more than {_MAX_STARS} '*'"
    return None


def matching_pattern(patterns: Iterable[str], name: bytes) -> str | None:
    """The first pattern that matches a name.

    Bytes that are not UTF-8 count as one character each.
    """
    text = name.decode("utf-8", "surrogateescape")
    return next((pattern for pattern in patterns if compiled_pattern(pattern).match(text)), None)


def matches_path(pattern: str, path: str) -> bool:
    """Whether a pattern matches a path: one that begins with a slash the whole path, any other its end, from
    the beginning of a name. `*` also stands for slashes."""
    whole = pattern if pattern.startswith(("/", "*")) else f"*/{pattern}"
    return compiled_pattern(whole).match(path) is not None


@lru_cache(maxsize=4096)
def compiled_pattern(pattern: str) -> re.Pattern[str]:
    """The expression for a pattern."""
    return re.compile(translate(pattern), re.IGNORECASE)

"""Formats the error for a wrong value: its name, the value, where it was written, what would be right."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

from pydantic_core import ErrorDetails

_SECRET = re.compile(
    r"secret|password|passphrase|token|hash|credential|(access|api|private)[-_ ]?key"
    r"|(^|[^a-z])pin([^a-z]|$)",
    re.IGNORECASE,
)
_SHOWN_CHARS = 100


def describe(error: ErrorDetails, path: tuple[str, ...], origin: str | None, known: Collection[str]) -> str:
    """Describe one of pydantic's errors in one line. `known` are the names that are valid at this place."""
    name = ".".join(path)
    where = f" ({origin})" if origin else ""
    if error["type"] == "extra_forbidden":
        return f"{name}{where}: unknown option{suggestion(path[-1], known)}"
    if error["type"] == "missing":
        return f"{name} is missing"
    if isinstance(error["input"], dict):
        return f"{name}: {_right(error)}"  # about several options together
    return f"{name} = {shown(path, error['input'])}{where}: {_right(error)}{_quotes(error)}"


def suggestion(word: str, known: Collection[str]) -> str:
    """`; did you mean 'x'?` if a known name resembles the word; otherwise the list of known names."""
    near = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; known here: {', '.join(sorted(known))}" if known else ""


def is_secret(name: str) -> bool:
    """Whether an option of this name holds a secret, so that its value is never shown."""
    return _SECRET.search(name) is not None


def shown(path: tuple[str, ...], value: object) -> str:
    """The value in printable form: secrets hidden, control characters escaped, long values cut."""
    if any(map(is_secret, path)):
        return "(hidden)"
    try:
        text = repr(value) if not isinstance(value, bool) else str(value).lower()
    except ValueError:  # TOML may have integers of thousands of digits (`sys.set_int_max_str_digits`)
        return "(a number with too many digits)"
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"


def _quotes(error: ErrorDetails) -> str:
    """Advice for a text that looks like something else: `tenant: 7` in YAML is a number."""
    if error["type"] == "string_type" and isinstance(error["input"], bool | int | float | None):
        return "; a text that looks like a number, true, false or null should be in quotes"
    return ""


def _right(error: ErrorDetails) -> str:
    if error["type"] in ("model_type", "dict_type", "model_attributes_type"):
        return "should be a table of options"
    text = error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    text = text.removeprefix("Input ")
    return text[:1].lower() + text[1:]

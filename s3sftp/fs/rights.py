"""What a user may do, right by right, and the named sets that operators write.

    read-write    every right
    read-only     list, read
    pick-up       list, read, delete
    drop-box      write: neither list nor read, not even its own file back

docs/rights.md says which SFTP operation needs which right.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from types import MappingProxyType


class Right(enum.Enum):
    """A right that an operation needs."""

    LIST = "list"
    READ = "read"
    WRITE = "write"
    """Create files. It does not include replacing one."""
    OVERWRITE = "overwrite"
    """Replace a whole file."""
    APPEND = "append"
    """Change an existing file in place: append to it, resume it, write into it, resize it."""
    DELETE = "delete"
    RENAME = "rename"
    """Give a file or directory another name. The new name needs `WRITE`, or `OVERWRITE` to replace a file."""
    MKDIR = "mkdir"
    RMDIR = "rmdir"
    SETSTAT = "setstat"
    """Set times and permissions of what is stored."""


Rights = frozenset[Right]

ALL_RIGHTS: Rights = frozenset(Right)
READ_ONLY: Rights = frozenset({Right.LIST, Right.READ})

PRESETS: Mapping[str, Rights] = MappingProxyType(
    {
        "read-write": ALL_RIGHTS,
        "read-only": READ_ONLY,
        "pick-up": READ_ONLY | {Right.DELETE},
        "drop-box": frozenset({Right.WRITE}),
    }
)
"""Sets of rights by name."""

_REFUSALS: Mapping[Right, str] = MappingProxyType(
    {
        Right.LIST: "you may not look at files here",
        Right.READ: "you may not read files here",
        Right.WRITE: "you may not create files here",
        Right.OVERWRITE: "you may not replace files here",
        Right.APPEND: "you may not change files that exist here",
        Right.DELETE: "you may not remove files here",
        Right.RENAME: "you may not rename anything here",
        Right.MKDIR: "you may not make directories here",
        Right.RMDIR: "you may not remove directories here",
        Right.SETSTAT: "you may not set times or permissions here",
    }
)


def rights_of(words: str | Iterable[str]) -> Rights:
    """The rights that presets and single rights add up to, such as `("drop-box", "mkdir")`.

    Raises ValueError: if a word is neither a preset nor a right.
    """
    found: set[Right] = set()
    for word in [words] if isinstance(words, str) else words:
        if word in PRESETS:
            found |= PRESETS[word]
        elif word in _BY_NAME:
            found.add(_BY_NAME[word])
        else:
            known = ", ".join([*PRESETS, *_BY_NAME])
            raise ValueError(f"{str(word)[:40]!r} is neither a preset nor a right; those are {known}")
    return frozenset(found)


_BY_NAME = {right.value: right for right in Right}


def refusal(missing: Right, held: Rights) -> str:
    """The text for a client that lacks a right. It tells what is missing, and nothing about files."""
    if held <= READ_ONLY and held and missing not in READ_ONLY:
        return "read-only: you may not change files here"
    return _REFUSALS[missing]

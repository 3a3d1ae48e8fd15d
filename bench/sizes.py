"""How much work is done: the full amount, the quick one, and what `--sizes` changes."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

MIB = 1 << 20
_UNITS = {"": 1, "K": 1 << 10, "KIB": 1 << 10, "M": MIB, "MIB": MIB, "G": 1 << 30, "GIB": 1 << 30}


@dataclass(frozen=True)
class Sizes:
    """Amounts that the works use. Field names are what `--sizes` takes."""

    stream: int = 1024 * MIB
    """Bytes of the file that one stream moves."""
    streams: int = 8
    parallel: int = 128 * MIB
    """Bytes of each file that parallel streams move."""
    files: int = 10_000
    file: int = 10_000
    """Bytes of each small file."""
    tree: int = 1_000
    """Files in the directory that is renamed."""
    mixed: int = 1
    """Times 500 files of 10 KB, 100 of 1 MiB and 8 of 32 MiB."""
    names: int = 100_000
    many_names: int = 1_000_000
    connections: int = 2_000
    """That are idle."""
    busy: int = 50
    uploads: int = 60
    """At once, to measure memory."""
    upload: int = 48 * MIB
    """Bytes of each of these."""


FULL = Sizes()
QUICK = Sizes(
    stream=256 * MIB,
    parallel=32 * MIB,
    files=1_000,
    tree=200,
    mixed=1,
    names=20_000,
    many_names=100_000,
    connections=200,
    busy=10,
    upload=16 * MIB,
)


def changed(sizes: Sizes, words: str) -> Sizes:
    """Sizes with changes such as `stream=64MiB,files=100`. ValueError names what is not understood."""
    changes: dict[str, int] = {}
    for word in filter(None, words.split(",")):
        name, _, value = word.partition("=")
        if name not in {field.name for field in dataclasses.fields(Sizes)}:
            raise ValueError(f"no size is called {name!r}")
        changes[name] = amount(value)
    return dataclasses.replace(sizes, **changes)


def amount(text: str) -> int:
    """`64MiB`, `10_000` or `2G` as a number."""
    match = re.fullmatch(r"([\d_]+)([a-zA-Z]*)", text.strip())
    if match is None or match[2].upper() not in _UNITS:
        raise ValueError(f"{text!r} is no amount")
    return int(match[1]) * _UNITS[match[2].upper()]

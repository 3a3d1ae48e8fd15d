"""What every group of options has in common.

A group is a frozen pydantic model that lives beside the code it steers; only the composition root sees
them all. One word names an option everywhere: TOML `part_bytes` in `[s3]`, environment
`S3SFTP_S3__PART_BYTES`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

_UNITS = {"": 1, "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


def _parse_bytes(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    digits = text.rstrip("bikmgt ").strip()
    unit = text[len(digits) :].strip()
    if not digits.isdigit() or unit not in _UNITS:
        raise ValueError("should be a number of bytes, like 8388608 or '8 MiB'")
    return int(digits) * _UNITS[unit]


_SIZE = BeforeValidator(_parse_bytes)
ByteSize = Annotated[int, _SIZE]
"""A number of bytes: an integer, or a text with a unit such as `"8 MiB"`."""


def is_size(metadata: Iterable[object]) -> bool:
    """Whether an option with this metadata is a `ByteSize`, not a count: for what describes options."""
    return _SIZE in metadata


def _check_path(path: Path) -> Path:
    try:
        possible = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise ValueError("should be a path that the file system can have: it has no NUL and no surrogates")
    return path


LocalPath = Annotated[Path, AfterValidator(_check_path)]
"""A path on this machine, as the operating system can be asked for it."""


class Options(BaseModel):
    """A group of options: immutable, and an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

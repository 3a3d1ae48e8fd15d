"""Reads settings from their sources and merges them: defaults < file < environment < flags.

A layer is a flat map from a path such as `("s3", "part_bytes")` to a value and to the text that tells an
operator where it was written. Layers are flat because they are merged leaf by leaf: an environment variable
replaces one option of a group, not the whole group.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s3sftp.errors import ConfigurationError

Path_ = tuple[str, ...]
PREFIX = "S3SFTP_"
_NOT_OPTIONS = frozenset({"S3SFTP_CONFIG"})
_MAX_BYTES = 64 << 20
"""Maximum size of a file. A hundred thousand users fit; reading a larger file may use up all memory."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One value from one source."""

    path: Path_
    value: object
    origin: str
    """Where it was written: `s3sftp.toml`, `environment S3SFTP_S3__BUCKET`, `--port`."""
    is_text: bool = False
    """The source has only text (environment, flags), from which lists and numbers have yet to be parsed."""


def from_toml(file: Path) -> list[Setting]:
    """Read a configuration file.

    Raises ConfigurationError: if it cannot be read or parsed; the error names the file and the line.
    """
    return [Setting(path, value, str(file)) for path, value in leaves(tree_of(file))]


def tree_of(file: Path) -> dict[str, Any]:
    """The tables of a file.

    Raises ConfigurationError: if it cannot be read or parsed; the error names the file and the line.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ConfigurationError([f"{file} is larger than {_MAX_BYTES >> 20} MiB"])
        return tomllib.loads(data.decode("utf-8"))
    except OSError as error:
        raise ConfigurationError([f"cannot read {file}: {error.strerror or error}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError([f"{file} is not UTF-8 text: {error}"]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([f"{file} is not valid TOML: {error}"]) from error
    except RecursionError as error:
        raise ConfigurationError([f"{file} is not valid TOML: its values are nested too deeply"]) from error
    except ValueError as error:  # the name is invalid in any file system
        raise ConfigurationError([f"cannot read {str(file)!r}: {error}"]) from error


def from_environment(environ: Mapping[str, str], scalars: Iterable[str]) -> list[Setting]:
    """Read `S3SFTP_<GROUP>__<OPTION>`, and `S3SFTP_<NAME>` for the `scalars`, the options outside any group.

    Other variables that begin with `S3SFTP_` are ignored: Kubernetes sets `S3SFTP_PORT`,
    `S3SFTP_SERVICE_HOST` and more in every pod beside a Service named `s3sftp`. Group and option are
    case-insensitive, because environment variables are upper-case by custom; the name of a user is
    case-sensitive.
    """
    found = []
    for name, text in environ.items():
        if not name.startswith(PREFIX) or name in _NOT_OPTIONS:
            continue
        words = name.removeprefix(PREFIX).split("__")
        if len(words) == 1 and words[0].lower() not in scalars:
            continue
        found.append(Setting(_path(words), text, f"environment {name}", is_text=True))
    return found


def _path(words: list[str]) -> Path_:
    group = words[0].lower()
    if group == "users":
        return (group, *words[1:2], *(word.lower() for word in words[2:]))
    return tuple(word.lower() for word in words)


def leaves(tree: Mapping[str, object], above: Path_ = ()) -> Iterator[tuple[Path_, object]]:
    """Flatten nested tables into their values. An empty table counts as a value, so that it is not lost."""
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*above, name))
        else:
            yield (*above, name), value


@dataclass(frozen=True, slots=True)
class Settings:
    """The merged layers: the last layer that has a value wins."""

    by_path: Mapping[Path_, Setting]

    @classmethod
    def layered(cls, *layers: Iterable[Setting]) -> Settings:
        by_path: dict[Path_, Setting] = {}
        for layer in layers:
            for setting in layer:
                by_path[setting.path] = setting
        return cls(by_path)

    def below(self, *path: str) -> list[Setting]:
        """Every setting at this path or below it."""
        return [s for at, s in self.by_path.items() if at[: len(path)] == path]

    def origin(self, path: Path_) -> str | None:
        """Where the value at this path, or below it, was written; None for a default."""
        for at, setting in self.by_path.items():
            if at[: len(path)] == path or path[: len(at)] == at:
                return setting.origin
        return None

"""Reads settings from their sources and merges them: defaults < file < environment < flags.

A layer is a flat map from a path such as `("s3", "part_bytes")` to a value and to the text that tells an
operator where it was written. Layers are flat because they are merged leaf by leaf: an environment variable
replaces one option of a group, not the whole group.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from s3sftp.config.documents import Document, read_document

Path_ = tuple[str, ...]
PREFIX = "S3SFTP_"
_NOT_OPTIONS = frozenset({"S3SFTP_CONFIG"})


@dataclass(frozen=True, slots=True)
class Setting:
    """One value from one source."""

    path: Path_
    value: object
    origin: str
    """Where it was written: `s3sftp.toml`, `environment S3SFTP_S3__BUCKET`, `--port`."""
    is_text: bool = False
    """The source has only text (environment, flags), from which lists and numbers have yet to be parsed."""
    document: Document | None = None
    """The file that it was written in."""

    def where(self) -> str:
        """Where it was written, with the line in a file."""
        return self.origin if self.document is None else self.document.origin(self.path)


def from_toml(file: Path) -> list[Setting]:
    """Read a configuration file.

    Raises ConfigurationError: if it cannot be read or parsed; the error names the file and the line.
    """
    tree, document = read_document(file, only_toml=True)
    return [Setting(path, value, str(file), document=document) for path, value in leaves(tree)]


def from_environment(environ: Mapping[str, str], scalars: Iterable[str]) -> list[Setting]:
    """Read `S3SFTP_<GROUP>__<OPTION>`, and `S3SFTP_<NAME>` for the `scalars`, the options outside any group.

    Other variables that begin with `S3SFTP_` are ignored: Kubernetes sets `S3SFTP_PORT`,
    `S3SFTP_SERVICE_HOST` and more in every pod beside a Service named `s3sftp`. Group and option are
    case-insensitive, because environment variables are upper-case by custom; the name of a user or a group is
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
    if group in ("users", "groups"):
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
                return setting.where() if setting.document is None else setting.document.origin(path)
        return None

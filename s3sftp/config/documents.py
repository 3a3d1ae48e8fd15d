"""Reads a file of options, and finds the line that each of them is on."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s3sftp.config.toml_lines import toml_lines
from s3sftp.errors import ConfigurationError

Path_ = tuple[str, ...]
YAML_ENDINGS = (".yaml", ".yml")
ENDINGS = (".toml", *YAML_ENDINGS)
"""How the names of files end that users can be read from."""
_MAX_BYTES = 64 << 20
"""Maximum size of a file. A hundred thousand users fit; reading a larger file may use up all memory."""
_USUAL_BYTES = 64 << 10
"""Most files are smaller. A read reserves memory for all that it may return, which takes longer than the file
of one user."""


class Document:
    """A file that has been read. Looks for lines only when it is asked for one, which is when there is an
    error."""

    __slots__ = ("_is_yaml", "_lines", "_text", "file")

    def __init__(self, file: Path, text: str, *, is_yaml: bool) -> None:
        self.file = file
        self._is_yaml = is_yaml
        self._text = text
        self._lines: Mapping[Path_, int] | None = None

    def origin(self, path: Path_) -> str:
        """`FILE, line N` of the option at a path, or of the nearest table above it that has a line."""
        if self._lines is None:
            self._lines = self._find_lines()
        while path and path not in self._lines:
            path = path[:-1]
        return f"{self.file}, line {self._lines[path]}" if path else str(self.file)

    def _find_lines(self) -> Mapping[Path_, int]:
        try:
            if self._is_yaml:
                from s3sftp.config.yaml_text import yaml_lines

                return yaml_lines(self._text)
            return toml_lines(self._text)
        except RecursionError:  # the error can be told without a line
            return {}


def read_document(file: Path, *, only_toml: bool = False) -> tuple[dict[str, Any], Document]:
    """Read the tables of a file of TOML, or of YAML if its name ends so and `only_toml` is not set.

    Raises ConfigurationError: if it cannot be read or parsed; the error names the file and the line.
    """
    is_yaml = file.suffix in YAML_ENDINGS and not only_toml
    kind = "YAML" if is_yaml else "TOML"
    text = _text_of(file)
    try:
        tree = _parse_yaml(file, text) if is_yaml else tomllib.loads(text)
    except RecursionError as error:
        raise ConfigurationError([f"{file} is not valid {kind}: its values are nested too deeply"]) from error
    except ValueError as error:
        raise ConfigurationError([f"{file} is not valid {kind}: {error}"]) from error
    return tree, Document(file, text, is_yaml=is_yaml)


def _text_of(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(_USUAL_BYTES)
            if len(data) == _USUAL_BYTES:
                data += stream.read(_MAX_BYTES + 1 - _USUAL_BYTES)
        if len(data) > _MAX_BYTES:
            raise ConfigurationError([f"{file} is larger than {_MAX_BYTES >> 20} MiB"])
        return data.decode("utf-8")
    except OSError as error:
        raise ConfigurationError([f"cannot read {file}: {error.strerror or error}"]) from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError([f"{file} is not UTF-8 text: {error} (at line {line})"]) from error
    except ValueError as error:  # the name is invalid in any file system
        raise ConfigurationError([f"cannot read {str(file)!r}: {error}"]) from error


def _parse_yaml(file: Path, text: str) -> dict[str, Any]:
    from s3sftp.config.yaml_text import parse_yaml  # most configurations have none

    tree = parse_yaml(text)
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigurationError([f"{file}, line 1: should be a table, such as `users: {{NAME: …}}`"])
    return tree

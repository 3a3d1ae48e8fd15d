"""The line of each key and list item in a TOML text, for errors. Pure.

`tomllib` validates a text but keeps no positions. This scanner adds them, for a text that `tomllib` has
accepted, so it need not recognise mistakes (TOML 1.0.0, https://toml.io/en/v1.0.0).

    [users.acme]          ("users",) 1   ("users", "acme") 1
    directories = [       ("users", "acme", "directories") 2
      "inbox",            ("users", "acme", "directories", "0") 3
    ]
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

_TOKEN = re.compile(
    r'''"""(?:\\.|[^\\])*?"""(?:"{0,2})   # texts of several lines may end in up to two more quotes
      | \'\'\'.*?\'\'\'(?:'{0,2})
      | "(?:\\.|[^"\\\n])*"
      | '[^'\n]*'
      | \#[^\n]*
      | \n
      | [ \t\r]+
      | [\[\]{}=,.]
      | [^\s\[\]{}=,.\#"']+''',
    re.DOTALL | re.VERBOSE,
)

Path_ = tuple[str, ...]


def toml_lines(text: str) -> Mapping[Path_, int]:
    """The line, from 1, on which each table, key and list item is first named. Items are named by their
    number from 0, as texts."""
    return _Scanner(text).lines


class _Scanner:
    """Goes through the tokens of a valid text once."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Path_, int] = {}
        self._tables_in: dict[Path_, int] = {}
        """How many tables each list of tables `[[…]]` has so far."""
        self._tokens = _TOKEN.findall(text)
        self._at = 0
        self._line = 1
        self._document()

    def _document(self) -> None:
        table: Path_ = ()
        while token := self._after_blank():
            if token == "[":  # noqa: S105 (a token of TOML, not a password)
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path_:
        self._take()
        is_list = self._peek() == "["
        if is_list:
            self._take()
        path: Path_ = ()
        names = self._names("]")
        for number, name in enumerate(names, 1):
            path = (*path, name)
            self._note(path)
            if is_list and number == len(names):
                self._tables_in[path] = self._tables_in.get(path, 0) + 1
            if path in self._tables_in:
                path = (*path, str(self._tables_in[path] - 1))
                self._note(path)
        self._take()
        if is_list:
            self._take()
        return path

    def _pair(self, table: Path_) -> None:
        path = table
        for name in self._names("="):
            path = (*path, name)
            self._note(path)
        self._take()
        self._value(path)

    def _names(self, end: str) -> list[str]:
        """The parts of a dotted key; `end` follows it and is not taken."""
        names = []
        while (token := self._after_space()) not in (end, ""):
            if token != ".":  # noqa: S105
                names.append(_plain(token))
            self._take()
        return names

    def _value(self, path: Path_) -> None:
        token = self._after_space()
        if token == "[":  # noqa: S105
            self._list(path)
        elif token == "{":  # noqa: S105
            self._inline_table(path)
        elif token[:1] in ("'", '"'):
            self._take()
        else:  # a number or a date: may have dots and one space
            while self._peek() not in (",", "]", "}", "\n", "") and self._peek()[0] != "#":
                self._take()

    def _list(self, path: Path_) -> None:
        self._take()
        number = 0
        while (token := self._after_blank()) not in ("]", ""):
            if token == ",":  # noqa: S105
                self._take()
                continue
            item = (*path, str(number))
            self._note(item)
            self._value(item)
            number += 1
        self._take()

    def _inline_table(self, path: Path_) -> None:
        self._take()
        while (token := self._after_blank()) not in ("}", ""):
            if token == ",":  # noqa: S105
                self._take()
            else:
                self._pair(path)
        self._take()

    def _note(self, path: Path_) -> None:
        self.lines.setdefault(path, self._line)

    def _after_space(self) -> str:
        """The next token that is no space; it is not taken."""
        while self._peek()[:1] in (" ", "\t", "\r") and self._peek():
            self._take()
        return self._peek()

    def _after_blank(self) -> str:
        """The next token that is neither space, comment nor the end of a line; it is not taken."""
        while (token := self._after_space())[:1] in ("\n", "#") and token:
            self._take()
        return self._peek()

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> None:
        self._line += self._peek().count("\n")
        self._at += 1


def _plain(token: str) -> str:
    """A key without its quotes and escapes."""
    if token[0] not in ("'", '"'):
        return token
    name: str = tomllib.loads(f"key = {token}")["key"]
    return name

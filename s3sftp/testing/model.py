"""A model of a file system, made of values: the required state of a storage after any sequence of operations.

It leaves open what the contract leaves open:

    emptied     a directory that was never made explicitly may stay or vanish with its last file
    below       nothing is written below a file, which some storages refuse and others allow
    versions    a file that is written again with the same content may keep its version or get another one
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

Path = str
"""Names with slashes between them; the root is empty."""

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Content:
    """The content that one write has stored."""

    data: bytes
    number: int = field(default_factory=lambda: next(_numbers))
    """Identifies the write: two writes of the same data may have the same version or not."""

    def again(self) -> Content:
        """The same data, stored once more."""
        return Content(self.data)


class Model:
    """The files and directories that must exist."""

    def __init__(self) -> None:
        self.files: dict[Path, Content] = {}
        self.made: set[Path] = set()
        """Directories that stay until they are removed."""
        self.emptied: set[Path] = set()
        """Directories that may exist or not."""

    # ── contents ────────────────────────────────────────────────────────────────────────────────────

    def is_dir(self, path: Path) -> bool:
        return path == "" or path in self.made or bool(self.below(path))

    def exists(self, path: Path) -> bool:
        return path in self.files or self.is_dir(path)

    def below(self, path: Path) -> list[Path]:
        """All files and directories below a directory that must exist."""
        return [each for each in (*self.files, *self.made) if is_below(each, path)]

    def names(self, path: Path) -> list[str]:
        """A listing in the form of `Storage.names`."""
        start = f"{path}/" if path else ""
        names = set()
        for each in self.below(path):
            name, deeper, _ = each.removeprefix(start).partition("/")
            names.add(f"{name}/" if deeper or each in self.made else name)
        return sorted(names)

    def is_below_a_file(self, path: Path) -> bool:
        return any(each in self.files for each in above(path))

    # ── changes ─────────────────────────────────────────────────────────────────────────────────────

    def put(self, path: Path, content: Content) -> None:
        self.files[path] = content
        self._stands(path)

    def make_dir(self, path: Path) -> None:
        self.made.add(path)
        self._stands(path)

    def delete(self, path: Path) -> None:
        del self.files[path]
        self._is_gone(path)

    def del_dir(self, path: Path) -> None:
        self.made.discard(path)
        self.emptied.discard(path)
        self._is_gone(path)

    def rename(self, source: Path, target: Path) -> None:
        def moved(path: Path) -> Path:
            is_part = path == source or is_below(path, source)
            return target + path.removeprefix(source) if is_part else path

        self.files = {
            moved(path): content if moved(path) == path else content.again()
            for path, content in self.files.items()
            if path != target
        }
        self.made = set(map(moved, self.made))
        self.emptied = set(map(moved, self.emptied))
        self._stands(target)
        self._is_gone(source)

    def _stands(self, path: Path) -> None:
        """Something exists at this path again, so it and its parents must exist."""
        self.emptied -= {path, *above(path)}

    def _is_gone(self, path: Path) -> None:
        self.emptied |= {each for each in above(path) if not self.is_dir(each)}


def is_below(path: Path, directory: Path) -> bool:
    return path != directory and (directory == "" or path.startswith(f"{directory}/"))


def above(path: Path) -> list[Path]:
    """The parents of a path, the deepest first, without the root."""
    names = path.split("/")
    return ["/".join(names[:count]) for count in range(len(names) - 1, 0, -1)]

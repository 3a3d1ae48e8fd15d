"""Maps a user's paths to places in the storage, and authorizes access to them.

    /             ─► prefix of the user      (the root mount)
    /name/…       ─► another prefix          (further mounts; no option declares them)

`Mounts.place` resolves and authorizes in one step. It is the only way from a path to a `Place`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from s3sftp.backends import Place
from s3sftp.errors import ConfigurationError, PermissionDenied
from s3sftp.fs.paths import ROOT, VirtualPath


class Need(enum.Enum):
    """A right that an operation requires."""

    READ = "read"
    LIST = "list"
    WRITE = "write"
    DELETE = "delete"


_READ_ONLY = frozenset({Need.READ, Need.LIST})
_REFUSALS = {
    Need.READ: "you may not read files here",
    Need.LIST: "you may not look at files here",
}


@dataclass(frozen=True, slots=True)
class Mount:
    """A virtual directory that maps to a prefix of the storage, with the user's rights in it."""

    path: VirtualPath
    prefix: Place
    rights: frozenset[Need] = frozenset(Need)


@dataclass(frozen=True, slots=True)
class Mounts:
    """All mounts and fixed directories of one user."""

    mounts: tuple[Mount, ...]
    """The mount with the longest matching path applies. The root is always mounted."""
    directories: frozenset[VirtualPath] = field(default_factory=frozenset)
    """Directories that always exist, even if the storage has nothing in them."""

    @classmethod
    def rooted_at(cls, prefix: str, *, read_only: bool = False, directories: Sequence[str] = ()) -> Mounts:
        """A single mount of the root at `prefix`, which is `""` or such as `"a/b/"`.

        Raises ConfigurationError: if the prefix or a directory has names that cannot be used.
        """
        problems = [
            *_problems_of(prefix, "prefix"),
            *(p for d in directories for p in _problems_of(d, "directory")),
        ]
        if problems:
            raise ConfigurationError(problems)
        rights = _READ_ONLY if read_only else frozenset(Need)
        root = Mount(ROOT, Place(VirtualPath.parse(prefix.encode()).names), rights)
        declared = (VirtualPath.parse(directory.encode()) for directory in directories)
        return cls((root,), frozenset(_with_ancestors(declared)))

    def place(self, path: VirtualPath, need: Need) -> Place:
        """Resolve a path and authorize an operation there.

        Raises PermissionDenied: if the user lacks the right, or the operation would remove a fixed directory.
        """
        mount = self._mount_of(path)
        if need not in mount.rights:
            raise PermissionDenied(_REFUSALS.get(need, "read-only: you may not change files here"))
        if need is Need.DELETE and self.is_fixed(path):
            raise PermissionDenied("this directory is fixed and can be neither removed nor renamed")
        return Place(mount.prefix.names + path.names[len(mount.path.names) :])

    def is_fixed(self, path: VirtualPath) -> bool:
        """Whether a path is a directory by configuration: the root, a mount, or a declared directory."""
        return path in self.directories or any(mount.path.is_within(path) for mount in self.mounts)

    def fixed_names_in(self, path: VirtualPath) -> list[bytes]:
        """The names of fixed directories directly below `path`."""
        depth = len(path.names)
        below = [*self.directories, *(mount.path for mount in self.mounts)]
        return sorted({p.names[depth] for p in below if p != path and p.is_within(path)})

    def _mount_of(self, path: VirtualPath) -> Mount:
        return max((m for m in self.mounts if path.is_within(m.path)), key=lambda m: len(m.path.names))


def _with_ancestors(paths: Iterable[VirtualPath]) -> set[VirtualPath]:
    found: set[VirtualPath] = set()
    for path in paths:
        found.update(VirtualPath(path.names[:depth]) for depth in range(1, len(path.names) + 1))
    return found


def _problems_of(text: str, what: str) -> list[str]:
    """The problems of a configured prefix or directory, which may contain a hostile user name."""
    names = text.strip("/").split("/") if text.strip("/") else []
    if text.startswith("/") and what == "prefix":
        return [f"{what} {text!r}: must not begin with '/'; S3 keys do not"]
    bad = [n for n in names if n in ("", ".", "..") or any(c in n for c in "\\\0") or not n.isprintable()]
    if bad:
        return [f"{what} {text!r}: {bad[0]!r} is not a usable name; use names joined by single '/'"]
    if len(text.encode()) > 900:
        return [f"{what} {text[:40]!r}…: longer than 900 bytes, no room is left for file names"]
    return []

"""Where a user's paths lead, and what the user may do there.

    /             ─► prefix of the user      (the root mount)
    /name/…       ─► another prefix          (further mounts: room for them)

`Mounts.place` resolves and authorizes in one step; nothing else makes a `Place` out of a path.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from s3sftp.backends import Place
from s3sftp.errors import ConfigurationError, PermissionDenied
from s3sftp.fs.paths import ROOT, VirtualPath


class Need(enum.Enum):
    """What an operation needs to be allowed to do."""

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
    """A virtual directory with a prefix of the storage and rights."""

    path: VirtualPath
    prefix: Place
    rights: frozenset[Need] = frozenset(Need)


@dataclass(frozen=True, slots=True)
class Mounts:
    """All that a user can reach."""

    mounts: tuple[Mount, ...]
    """The longest path that fits decides; the root is always mounted."""
    directories: frozenset[VirtualPath] = field(default_factory=frozenset)
    """Directories that always exist, whether or not the storage has anything in them."""

    @classmethod
    def rooted_at(cls, prefix: str, *, read_only: bool = False, directories: Sequence[str] = ()) -> Mounts:
        """One mount: the user's root is `prefix`, `""` or `"a/b/"`. Raises ConfigurationError."""
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
        """Resolve and authorize in one step. Raises PermissionDenied."""
        mount = self._mount_of(path)
        if need not in mount.rights:
            raise PermissionDenied(_REFUSALS.get(need, "read-only: you may not change files here"))
        if need is Need.DELETE and self.is_fixed(path):
            raise PermissionDenied("this directory is fixed and can be neither removed nor renamed")
        return Place(mount.prefix.names + path.names[len(mount.path.names) :])

    def is_fixed(self, path: VirtualPath) -> bool:
        """Whether it is a directory by configuration: the root, a mount, a declared one."""
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
    """What is wrong with a prefix or directory that an operator wrote; hostile user names end up here too."""
    names = text.strip("/").split("/") if text.strip("/") else []
    if text.startswith("/") and what == "prefix":
        return [f"{what} {text!r}: must not begin with '/'; S3 keys do not"]
    bad = [n for n in names if n in ("", ".", "..") or any(c in n for c in "\\\0") or not n.isprintable()]
    if bad:
        return [f"{what} {text!r}: {bad[0]!r} is not a usable name; use names joined by single '/'"]
    if len(text.encode()) > 900:
        return [f"{what} {text[:40]!r}…: longer than 900 bytes, no room is left for file names"]
    return []

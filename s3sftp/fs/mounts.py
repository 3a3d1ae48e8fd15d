"""Maps a user's paths to places in the storage, and authorizes access to them.

    /               ─► prefix of the user        (the root mount), or nothing stored: a listing of the mounts
    /inbox/…        ─► acme/in/…                 (a directory)
    /rates.csv      ─► shared/rates.csv          (a single file)

Only these lead from a client's path to a `Place`, and none of them to a hidden name:

    place             checks the given rights, the name of a file, and that nothing fixed is removed
    place_to_look_at  for STAT: checks that the user may learn what exists
    place_to_store    checks no right: the caller does
    place_of_own      checks no right: the caller does
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from s3sftp.backends import Grant, MountRole, Place
from s3sftp.errors import ConfigurationError, NotADirectory, NotFound, PermissionDenied
from s3sftp.fs.access_rules import AccessRules, AppliedRules, RuleTree
from s3sftp.fs.mount_problems import (
    MountedAt,
    mount_problems,
    prefix_problems,
    quota_problems,
    rule_problems,
    with_ancestors,
)
from s3sftp.fs.paths import ROOT, VirtualPath
from s3sftp.fs.quota.quotas import NO_QUOTA, PlacedQuota, Quota
from s3sftp.fs.rights import ALL_RIGHTS, READ_ONLY, Right

_OF_FILES = frozenset({Right.READ, Right.WRITE, Right.OVERWRITE, Right.APPEND, Right.DELETE})
"""The rights that only files need, so that the patterns for file names apply."""
_STORING = frozenset({Right.WRITE, Right.OVERWRITE, Right.APPEND, Right.MKDIR, Right.SETSTAT})
"""The rights with which something is stored."""
_OF_NAMES = frozenset({Right.DELETE, Right.RMDIR, Right.RENAME})
"""The rights that take a name away."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A virtual path that leads to a prefix of the storage, or to a single file."""

    path: str
    """Where the user sees it, such as `"/inbox"`."""
    prefix: str
    """What it leads to: `"acme/in/"`, or the key of the file."""
    file: bool = False
    """Whether it is a single file."""
    rules: AccessRules = field(default_factory=AccessRules)
    storage: str = ""
    """The name of the storage that it is in; empty for the one that has no name."""
    quota: Quota = NO_QUOTA
    """How much may be stored in it. Not for a single file."""
    role: MountRole | None = None
    """The role that the storage is reached with in this mount; None: as the storage's options say."""


@dataclass(frozen=True, slots=True)
class Mounts:
    """One user's tree: where its paths lead, its fixed directories, and the rules in it."""

    mounted: tuple[MountedAt, ...]
    """Sorted by path. The mount with the longest matching path applies."""
    rules: RuleTree = field(default_factory=lambda: RuleTree(AppliedRules()))
    fixed: frozenset[VirtualPath] = frozenset({ROOT})
    """Directories that always exist, even if the storage has nothing in them."""
    quotas: tuple[PlacedQuota, ...] = ()
    """What may be stored in which parts of the storage."""
    _by_path: dict[tuple[bytes, ...], MountedAt] = field(init=False, repr=False, compare=False)
    _deepest: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_path", {mount.path.names: mount for mount in self.mounted})
        object.__setattr__(self, "_deepest", max(map(len, self._by_path), default=0))

    @classmethod
    def of(
        cls,
        prefix: str | None,
        *,
        rules: AccessRules = AccessRules(),  # noqa: B008  frozen
        read_only: bool = False,
        directories: Sequence[str] = (),
        mounts: Sequence[Mount] = (),
        paths: Sequence[tuple[str, AccessRules]] = (),
        quota: Quota = NO_QUOTA,
    ) -> Mounts:
        """A user's tree. `prefix` is what the root leads to; None: nothing is stored there, and the root
        lists the mounts. `rules` are those of the whole tree, `paths` those of paths in it. `quota` is for
        what is below the prefix. `read_only` takes every other right away, whatever the rules say.

        Raises ConfigurationError: if paths, prefixes, directories or patterns cannot be used, or if mounts
        overlap; lists every problem.
        """
        if problems := tree_problems(prefix, rules, directories, mounts, paths, quota):
            raise ConfigurationError(problems)
        root = [] if prefix is None else [Mount("/", prefix)]
        mounted = [MountedAt.of(m.path, m.prefix, m.file, m.storage, m.role) for m in (*root, *mounts)]
        given = [*(quota for _ in root), *(m.quota for m in mounts)]
        declared = [_parsed(directory) for directory in directories]
        own_rules = [*((_parsed(m.path), m.rules) for m in mounts), *((_parsed(p), r) for p, r in paths)]
        return cls(
            tuple(sorted(mounted, key=lambda m: m.path.names)),
            RuleTree(rules.below(AppliedRules()), own_rules, most=READ_ONLY if read_only else ALL_RIGHTS),
            frozenset(
                with_ancestors([*declared, *(m.path.parent if m.file else m.path for m in mounted)]) | {ROOT}
            ),
            tuple(PlacedQuota(m.place, each) for m, each in zip(mounted, given, strict=True) if each),
        )

    def place(self, path: VirtualPath, *needs: Right) -> Place:
        """Resolve a path and authorize an operation there, which needs all of these rights.

        Raises PermissionDenied: if the user lacks a right, if the name may not be used, if the operation
        would remove a fixed directory, or if nothing can be stored there; NotFound: if the name is hidden,
        or nothing can be there to look at; NotADirectory: below a single file.
        """
        self.refuse_hidden(path)
        self.rules.at(path).require(*needs)
        if not _OF_FILES.isdisjoint(needs) and not self.is_fixed(path):
            self.refuse_file_name(path)
        if not _OF_NAMES.isdisjoint(needs) and (self.is_fixed(path) or self.is_mounted_file(path)):
            raise PermissionDenied(
                "this directory is fixed and can be neither removed nor renamed",
                rule="fixed by configuration",
            )
        return self._resolve(path, creates=Right.WRITE in needs or Right.MKDIR in needs)

    def place_to_look_at(self, path: VirtualPath) -> Place:
        """Resolve a path for STAT. Raises NotFound: also if the user may not learn what exists there, so that
        the answer is the same for everything."""
        self.refuse_hidden(path)
        if not self.rules.at(path).sees:
            raise NotFound
        return self._resolve(path)

    def place_to_store(self, path: VirtualPath) -> Place:
        """Resolve a path at which something is to be stored. The caller checks rights and file names.

        Raises NotFound: if the name is hidden; PermissionDenied: if nothing can be stored there.
        """
        self.refuse_hidden(path)
        return self._resolve(path, creates=True)

    def place_of_own(self, path: VirtualPath) -> Place:
        """Resolve a path whose rights the caller checks, such as one to which this session has uploaded."""
        self.refuse_hidden(path)
        return self._resolve(path)

    def refuse_hidden(self, path: VirtualPath) -> None:
        """Raises NotFound: if a name in the path is hidden. Fixed directories and mounts never are."""
        if not self.rules.hide_anything:
            return
        for depth, (name, rules) in enumerate(zip(path.names, self.rules.along(path), strict=True), 1):
            if rules.hides(name):
                above = VirtualPath(path.names[:depth])
                if not self.is_fixed(above) and not self.is_mounted_file(above):
                    rules.refuse_hidden(name)

    def refuse_file_name(self, path: VirtualPath) -> None:
        """Raises PermissionDenied: if no file may have the name. The name of a mounted file is given."""
        if path.names and not self.is_mounted_file(path):
            self.rules.names_at(path).refuse_file_name(path.name)

    def accepts_file_name(self, path: VirtualPath) -> bool:
        """Whether a file may have the name."""
        return not path.names or self.is_mounted_file(path) or self.rules.names_at(path).accepts(path.name)

    def is_fixed(self, path: VirtualPath) -> bool:
        """Whether a path is a directory by configuration: the root, a mount, a declared directory, or one
        above these."""
        return path in self.fixed

    def is_mounted_file(self, path: VirtualPath) -> bool:
        """Whether a single file is mounted at the path."""
        mount = self._by_path.get(path.names)
        return mount is not None and mount.file

    @property
    def storages(self) -> frozenset[str]:
        """The names of the storages that paths lead to."""
        return frozenset(mount.place.storage for mount in self.mounted)

    def grants(self) -> tuple[Grant, ...]:
        """What the user may do in each mount, at its path or anywhere below it."""
        return tuple(self._grant(mount) for mount in self.mounted)

    def _grant(self, mount: MountedAt) -> Grant:
        below = (VirtualPath(mount.path.names + names) for names in self.rules.below(mount.path))
        inside = [mount.path, *(path for path in below if self._mount_of(path) is mount)]
        rights = frozenset().union(*(self.rules.at(path).rights for path in inside))
        stores, removes = bool(rights & _STORING), bool(rights & _OF_NAMES)
        return Grant(mount.place, mount.file, stores, removes, mount.role)

    def is_virtual(self, path: VirtualPath) -> bool:
        """Whether nothing can be stored at a path: it is above all mounts."""
        return self.is_fixed(path) and self._mount_of(path) is None

    def fixed_names_in(self, path: VirtualPath) -> list[bytes]:
        """The names of fixed directories directly below `path`."""
        return sorted(p.name for p in self.fixed if p.names and p.parent == path)

    def files_in(self, path: VirtualPath) -> list[tuple[bytes, Place]]:
        """The single files that are mounted directly below `path`: their names and places."""
        return [(m.path.name, m.place) for m in self.mounted if m.file and m.path.parent == path]

    def _resolve(self, path: VirtualPath, *, creates: bool = False) -> Place:
        mount = self._mount_of(path)
        if mount is None:
            if creates:
                raise PermissionDenied(
                    "nothing can be stored here, only in the directories listed", rule="no mount there"
                )
            raise NotFound
        if mount.file and path != mount.path:
            raise NotADirectory
        return Place(mount.place.names + path.names[len(mount.path.names) :], mount.place.storage)

    def _mount_of(self, path: VirtualPath) -> MountedAt | None:
        for depth in range(min(len(path.names), self._deepest), -1, -1):
            if (mount := self._by_path.get(path.names[:depth])) is not None:
                return mount
        return None


def tree_problems(
    prefix: str | None,
    rules: AccessRules,
    directories: Sequence[str],
    mounts: Sequence[Mount],
    paths: Sequence[tuple[str, AccessRules]],
    quota: Quota,
) -> list[str]:
    """Everything that is wrong with what `Mounts.of` would build a tree from."""
    return [
        *(prefix_problems(prefix, "prefix") if prefix else []),
        *mount_problems([(m.path, m.prefix, m.file, m.storage) for m in mounts], prefix, directories),
        *rule_problems([("", rules), *((m.path, m.rules) for m in mounts), *paths], {m.path for m in mounts}),
        *quota_problems(quota, prefix, [(m.path, m.file, m.quota) for m in mounts]),
    ]


def _parsed(path: str) -> VirtualPath:
    return VirtualPath(VirtualPath.parse(path.encode()).names)

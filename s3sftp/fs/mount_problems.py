"""Finds what is wrong with a user's mounts, declared directories and rules before they are used. Pure.

A file must have one name. Two mounts may overlap only where the tree shows the same file at the same path
anyway, such as `/` ─► `acme/` with `/inbox` ─► `acme/inbox/`, or where a third mount covers the second name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from s3sftp.backends import MountRole, Place
from s3sftp.config.name_patterns import pattern_problem
from s3sftp.fs.access_rules import AccessRules
from s3sftp.fs.paths import ROOT, VirtualPath
from s3sftp.fs.quota.quotas import Quota

_MAX_PREFIX_BYTES = 900
"""The rest of the 1 024 bytes that a key has is for file names."""


@dataclass(frozen=True, slots=True)
class MountedAt:
    """A mount with a parsed path and place."""

    path: VirtualPath
    place: Place
    file: bool = False
    role: MountRole | None = None

    @classmethod
    def of(
        cls,
        path: str,
        prefix: str,
        file: bool = False,
        storage: str = "",
        role: MountRole | None = None,
    ) -> MountedAt:
        place = Place(VirtualPath.parse(prefix.encode()).names, storage)
        return cls(VirtualPath(VirtualPath.parse(path.encode()).names), place, file, role)


def prefix_problems(text: str, what: str) -> list[str]:
    """The problems of a configured prefix or directory, which may contain a hostile user name."""
    names = text.strip("/").split("/") if text.strip("/") else []
    if text.startswith("/") and what == "prefix":
        return [f"{what} {text!r}: must not begin with '/'; S3 keys do not"]
    bad = [n for n in names if n in ("", ".", "..") or any(c in n for c in "\\\0") or not n.isprintable()]
    if bad:
        return [f"{what} {text!r}: {bad[0]!r} is not a usable name; use names joined by single '/'"]
    if len(text.encode()) > _MAX_PREFIX_BYTES:
        return [f"{what} {text[:40]!r}…: longer than 900 bytes, no room is left for file names"]
    return []


def mount_problems(
    mounts: Sequence[tuple[str, str, bool, str]], root: str | None, directories: Sequence[str]
) -> list[str]:
    """The problems of mounts, each given as path, prefix, whether it is a file, and its storage, and of
    directories."""
    if not mounts and not directories:
        return []  # as most users have it
    problems = [problem for each in mounts for problem in _problems_of_one(*each[:3])]
    problems += [problem for each in directories for problem in prefix_problems(each, "directory")]
    if problems or (root and prefix_problems(root, "prefix")):
        return problems  # what is not valid by itself cannot be compared
    given = [] if root is None else [MountedAt.of("/", root)]
    given += [MountedAt.of(*each) for each in mounts]
    declared = [VirtualPath.parse(each.encode()) for each in directories]
    return [*_repeated(given), *_below_files(given, declared), *_overlaps(given)]


def rule_problems(rules: Iterable[tuple[str, AccessRules]], mounts: Collection[str]) -> list[str]:
    """The problems of rules by path; those of the whole tree have an empty path. `mounts`: paths that
    `mount_problems` checks."""
    problems = []
    seen: set[VirtualPath] = set()
    for path, rule in rules:
        where = f"path {path!r}: " if path else ""
        wrong = prefix_problems(path, "path") if path else []
        problems += wrong if path not in mounts else []
        for option, patterns in (("allow", rule.allow), ("deny", rule.deny), ("hide", rule.hide)):
            found = (pattern_problem(pattern) for pattern in patterns or ())
            problems += [f"{where}{option}: {problem}" for problem in found if problem]
        if rule.max_file_bytes is not None and rule.max_file_bytes < 0:
            problems.append(f"{where}max_file_bytes should be 0 or more")
        if path and not wrong and rule != AccessRules():
            parsed = VirtualPath.parse(path.encode())
            if parsed in seen:
                problems.append(f"path {path!r} has rules twice; put them into one table")
            seen.add(parsed)
    return problems


def quota_problems(root: Quota, prefix: str | None, mounts: Sequence[tuple[str, bool, Quota]]) -> list[str]:
    """The problems of quotas: that of the root, and those of mounts, each given as path, whether it is a
    file, and its quota."""
    problems = []
    if root and prefix is None:
        problems.append("quota: nothing is stored at '/', which lists the mounts; give each mount a quota")
    for path, file, quota in mounts:
        if file and quota:
            problems.append(f"mount {path!r}: a single file has no quota; use max_file_bytes")
    for where, quota in (("quota", root), *((f"mount {path!r}: quota", quota) for path, _, quota in mounts)):
        if min(quota.bytes or 0, quota.files or 0) < 0:
            problems.append(f"{where} should have numbers of 0 or more")
    return problems


def with_ancestors(paths: Iterable[VirtualPath]) -> set[VirtualPath]:
    """The paths and all directories above them, without the root."""
    found: set[VirtualPath] = set()
    for path in paths:
        found.update(VirtualPath(path.names[:depth]) for depth in range(1, len(path.names) + 1))
    return found


def _problems_of_one(path: str, prefix: str, file: bool) -> list[str]:
    problems = prefix_problems(path, "mount")
    problems += [f"mount {path!r}: {problem}" for problem in prefix_problems(prefix, "prefix")]
    if problems:
        return problems
    if file and not path.strip("/"):
        problems.append("mount '/': the root cannot be a single file")
    if file and (not prefix or prefix.endswith("/")):
        problems.append(
            f"mount {path!r}: prefix {prefix!r} should be the key of a file, without a '/' at the end"
        )
    return problems


def _repeated(mounts: Sequence[MountedAt]) -> Iterator[str]:
    seen: set[VirtualPath] = set()
    for mount in mounts:
        if mount.path in seen:
            yield f"mount '{mount.path}' is there twice" + (
                "; the option prefix is the mount of '/'" if mount.path == ROOT else ""
            )
        seen.add(mount.path)


def _below_files(mounts: Sequence[MountedAt], directories: Sequence[VirtualPath]) -> Iterator[str]:
    for file in (mount for mount in mounts if mount.file):
        for mount in mounts:
            if mount.path != file.path and mount.path.is_within(file.path):
                yield f"mount '{mount.path}' is below '{file.path}', which is a single file"
        for directory in directories:
            if directory.is_within(file.path):
                yield f"directory '{directory}': '{file.path}' is a single file"


def _overlaps(mounts: Sequence[MountedAt]) -> Iterator[str]:
    for outer, inner in _one_within_another(mounts):
        second = VirtualPath(outer.path.names + inner.place.names[len(outer.place.names) :])
        if second == inner.path or _covering(mounts, second) is not outer:
            continue
        yield (
            f"mounts '{outer.path}' and '{inner.path}' overlap: {_shown(inner)} would be both"
            f" '{second}' and '{inner.path}'; a file must have one name"
        )


def _one_within_another(mounts: Sequence[MountedAt]) -> Iterator[tuple[MountedAt, MountedAt]]:
    """Pairs of mounts at different paths, of which the second's place is at or below the first's."""
    found: dict[tuple[str, tuple[bytes, ...]], list[tuple[int, MountedAt]]] = {}
    for index, mount in enumerate(mounts):
        found.setdefault((mount.place.storage, mount.place.names), []).append((index, mount))
    for index, inner in enumerate(mounts):
        names = inner.place.names
        for depth in range(len(names) + 1):
            for other, outer in found.get((inner.place.storage, names[:depth]), ()):
                is_other = other < index if depth == len(names) else not outer.file
                if is_other and outer.path != inner.path:
                    yield outer, inner


def _covering(mounts: Sequence[MountedAt], path: VirtualPath) -> MountedAt | None:
    found = [mount for mount in mounts if path.is_within(mount.path)]
    return max(found, key=lambda mount: len(mount.path.names), default=None)


def _shown(mount: MountedAt) -> str:
    key = mount.place.key.decode("utf-8", "backslashreplace")
    return repr(key if mount.file else key + "/" if key else key)

"""Where the rule was written that refuses an operation, and what would be right. Pure.

    missing right: write, for /inbox/x.csv ──► mounts./inbox.rights (users/acme.yaml, line 7)
                                               add "write" to it, or a preset that has it

The rule itself comes from the server's own code; this only looks for the option behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from s3sftp.auth import Identity
from s3sftp.fs import AccessRules, Mounts, Right, VirtualPath

Where = Callable[..., str | None]
"""Where the option at a path below the user's table was written; None if nobody knows."""
_AT_THE_TARGET = frozenset({"write", "overwrite"})
_OF_NAMES = frozenset({"allow", "deny", "hide"})


@dataclass(frozen=True, slots=True)
class RuleOrigin:
    """The option that a rule comes from."""

    option: str
    """Such as `mounts./inbox.rights`."""
    where: str | None
    """The file and the line; None for a default, and for users who are in no file."""
    advice: str
    """What would be right."""


def origin_of(rule: str, identity: Identity, paths: Sequence[VirtualPath], where: Where) -> RuleOrigin | None:
    """The option behind a rule that refuses an operation with these paths; None if there is none to show."""
    kind, _, value = rule.partition(": ")
    tree = identity.tree()
    if kind == "missing right":
        return _of_right(value, identity, tree, paths, where)
    if kind in _OF_NAMES:
        path = _that_is_refused(kind, value, tree, paths)
        option, at = _set_at(identity, VirtualPath(path.names[:-1]), kind, where)
        return RuleOrigin(option, at, _ADVICE[kind].format(option=option, name=_text(path.name)))
    if kind in ("max_file_bytes", "on_conflict"):
        option, at = _set_at(identity, paths[-1], kind, where)
        return RuleOrigin(option, at, _ADVICE[kind].format(option=option))
    if rule in _ADVICE:
        return RuleOrigin("mounts", where("mounts"), _ADVICE[rule].format(option="mounts"))
    return None


_ADVICE = {
    "allow": "use a name that {option} has a pattern for, or add a pattern for {name!r} to it",
    "deny": "use another name, or take the pattern out of {option}",
    "hide": "use another name, or take the pattern out of {option}",
    "max_file_bytes": "send a smaller file, or raise {option}",
    "on_conflict": 'use a name that no file has, or set {option} to "overwrite" or "keep-both"',
    "no mount there": "use a path below one of the mounts, or add a mount",
    "fixed by configuration": "mounts and declared directories stay: the client has to leave them alone",
}


def _of_right(
    name: str, identity: Identity, tree: Mounts, paths: Sequence[VirtualPath], where: Where
) -> RuleOrigin:
    right = Right(name)
    ordered = paths[::-1] if name in _AT_THE_TARGET else paths
    path = next((each for each in ordered if right not in tree.rules.at(each).rights), ordered[0])
    if identity.read_only:
        return RuleOrigin("read_only", where("read_only"), "take read_only away: it overrides all rights")
    option, at = _set_at(identity, path, "rights", where)
    return RuleOrigin(option, at, f'add "{name}" to {option}, or a preset that has it')


def _that_is_refused(kind: str, pattern: str, tree: Mounts, paths: Sequence[VirtualPath]) -> VirtualPath:
    """The path with the name that a pattern refuses, or the part of one that leads to a hidden name."""
    for path in paths:
        for depth in range(1, len(path.names) + 1):
            above = VirtualPath(path.names[:depth])
            rules = tree.rules.names_at(above)
            if kind == "hide" and rules.hides(above.name):
                return above
            if kind != "hide" and above == path and not rules.accepts(above.name):
                return above
    return paths[0]


def _set_at(identity: Identity, path: VirtualPath, option: str, where: Where) -> tuple[str, str | None]:
    """The option that applies at a path, by its name, and where it was written."""
    for rules, names in _from_the_nearest(identity, path):
        if getattr(rules, option) is not None:
            return ".".join((*names, option)), where(*names, option)
    return option, None


def _from_the_nearest(identity: Identity, path: VirtualPath) -> Iterator[tuple[AccessRules, tuple[str, ...]]]:
    """The rules that may apply to a path, with the names of their tables: those of the longest path first."""
    found = [(mount.path, mount.rules, ("mounts", mount.path)) for mount in identity.mounts]
    found += [(own, rules, ("paths", own)) for own, rules in identity.paths]
    parsed = [(VirtualPath.parse(own.encode()), rules, names) for own, rules, names in found]
    for own, rules, names in sorted(parsed, key=lambda each: -len(each[0].names)):
        if path.is_within(own):
            yield rules, names
    yield identity.rules, ()


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")

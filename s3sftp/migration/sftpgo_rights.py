"""Converts SFTPGo's permissions and name patterns to rights and rules of paths. Pure.

SFTPGo decides about a file by its directory: by the permissions of the nearest directory that has some, and,
apart from these, by the nearest patterns (`GetPermissionsForPath`, `getPatternsFilterForPath`). Here both are
one rule of a path, so each path that has either gets a complete rule, and is a fixed directory: in SFTPGo the
directory above decides whether it may be removed or renamed.

| permission | right |
|---|---|
| list | list |
| download | read, if there is list: whoever may read here may also look |
| upload | write |
| overwrite | overwrite, and append if there is list |
| delete, delete_files, delete_dirs | delete, rmdir |
| rename | rename, if all directories that can be written to have it, because SFTPGo asks for it in both |
| create_dirs | mkdir |
| chmod and chtimes | setstat |
| `*` | all |
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from s3sftp.fs import Right
from s3sftp.fs.rights import ALL_RIGHTS, PRESETS, Rights
from s3sftp.migration.findings import UserFindings
from s3sftp.migration.sftpgo_dump import PatternsFilter

T = TypeVar("T")

_RIGHTS: Mapping[str, Rights] = {
    "*": ALL_RIGHTS,
    "list": frozenset({Right.LIST}),
    "download": frozenset({Right.READ}),
    "upload": frozenset({Right.WRITE}),
    "overwrite": frozenset({Right.OVERWRITE, Right.APPEND}),
    "delete": frozenset({Right.DELETE, Right.RMDIR}),
    "delete_files": frozenset({Right.DELETE}),
    "delete_dirs": frozenset({Right.RMDIR}),
    "rename": frozenset({Right.RENAME}),
    "create_dirs": frozenset({Right.MKDIR}),
}
_PARTIAL = {"rename_files", "rename_dirs", "chmod", "chtimes"}
_WITHOUT_EQUIVALENT = {"create_symlinks", "chown", "copy"}
_OF_DIRECTORIES = frozenset({Right.MKDIR, Right.RMDIR, Right.RENAME})
_STORING = frozenset({Right.WRITE, Right.OVERWRITE})
_SPECIAL = re.compile(r"[*?\[\]\\]")
_PLAIN_CLASS = re.compile(r"\[[A-Za-z0-9_.-]+\]")


@dataclass(frozen=True, slots=True)
class _Rule:
    """What applies at a path and below it, complete."""

    rights: Rights
    allow: tuple[str, ...] = ()
    hide: tuple[str, ...] = ()

    @property
    def options(self) -> dict[str, Any]:
        return {"rights": _words(self.rights), "allow": list(self.allow), "hide": list(self.hide)}


def access_of(
    permissions: Mapping[str, Sequence[str]], patterns: Sequence[PatternsFilter], findings: UserFindings
) -> dict[str, Any]:
    """The options `rights`, `allow`, `hide`, `paths` and `directories` of the user."""
    given = _rights_by_path(permissions, findings)
    filters = _filters_by_path(patterns, findings)
    rules = {path: _rule(_nearest(given, path), _nearest(filters, path)) for path in {"/", *given, *filters}}
    rules = _with_safe_renames(rules, given, findings)
    root = rules.pop("/")
    options = {name: value for name, value in root.options.items() if name == "rights" or value}
    paths = {path: _changed(rule, rules, root, path) for path, rule in sorted(rules.items())}
    directories = [path.removeprefix("/") for path in sorted(rules)]
    return {**options, "directories": directories, "paths": paths}


def _rights_by_path(permissions: Mapping[str, Sequence[str]], findings: UserFindings) -> dict[str, Rights]:
    found: dict[str, Rights] = {}
    for path, words in permissions.items():
        field = f'permissions."{path}"'
        clean = clean_path(path)
        if clean is None or clean in found:
            findings.refuse(field, "should be an absolute path, given once")
        elif clean != "/" and _SPECIAL.search(clean):
            findings.disable(field, "a pattern of directories has no equivalent: list the directories")
        else:
            found[clean] = _rights(words, field, findings)
    if "/" not in found:
        findings.disable("permissions", "there are none for '/'")
    return {"/": frozenset(), **found}


def _rights(words: Sequence[str], field: str, findings: UserFindings) -> Rights:
    if "*" in words:
        return ALL_RIGHTS
    known = {"*", *_RIGHTS, *_PARTIAL, *_WITHOUT_EQUIVALENT}
    if unknown := sorted(set(words) - known):
        findings.narrow(field, f"{', '.join(unknown)[:200]}: unknown, and not carried over")
    if lost := sorted(set(words) & _WITHOUT_EQUIVALENT):
        findings.narrow(field, f"{', '.join(lost)}: there is no such right here")
    rights = frozenset[Right]().union(*(_RIGHTS.get(word, frozenset()) for word in words))
    if {"rename_files", "rename_dirs"} <= set(words):
        rights |= {Right.RENAME}
    elif {"rename_files", "rename_dirs"} & set(words) and Right.RENAME not in rights:
        findings.narrow(field, "rename_files and rename_dirs are one right here, so neither is given")
    if {"chmod", "chtimes"} <= set(words):
        rights |= {Right.SETSTAT}
    elif {"chmod", "chtimes"} & set(words):
        findings.narrow(field, "chmod and chtimes are one right here, so neither is given")
    if Right.LIST not in rights:  # who appends has to know the size, which SFTPGo does not tell then
        rights -= {Right.APPEND}
    if Right.READ in rights and Right.LIST not in rights:
        findings.disable(
            field, "download without list: here, who may read a file may also ask for its size and time"
        )
    return rights


def _filters_by_path(patterns: Sequence[PatternsFilter], findings: UserFindings) -> dict[str, _Rule]:
    """The patterns that apply at a path, as rules with all rights."""
    found: dict[str, _Rule] = {}
    for index, each in enumerate(patterns):
        field = f"filters.file_patterns[{index}]"
        clean = clean_path(each.path)
        if clean is None or clean in found or _SPECIAL.search(clean):
            findings.refuse(f"{field}.path", "should be an absolute path without patterns, given once")
            continue
        if each.others:
            findings.disable(field, f"{', '.join(sorted(each.others))[:200]}: unknown, may be a restriction")
        denied = tuple(_pattern(text, f"{field}.denied_patterns", findings) for text in each.denied_patterns)
        allowed = tuple(
            _pattern(text, f"{field}.allowed_patterns", findings) for text in each.allowed_patterns
        )
        if allowed:
            # SFTPGo refuses everything else anyway
            denied = tuple(text for text in denied if text != "*")
            findings.narrow(
                field, "where allowed_patterns apply, directories can be neither made nor renamed"
            )
        elif denied and each.deny_policy == 0:
            findings.narrow(field, "denied names are hidden too")
        if allowed and each.deny_policy != 0:
            findings.disable(
                f"{field}.deny_policy", "names that allowed_patterns do not match would be listed"
            )
        rights = ALL_RIGHTS - _OF_DIRECTORIES if allowed else ALL_RIGHTS
        found[clean] = _Rule(rights, allowed, denied)
    return {"/": _Rule(ALL_RIGHTS), **found}


def _pattern(text: str, field: str, findings: UserFindings) -> str:
    """The pattern in our syntax: of a class of characters, only what means the same."""
    if _SPECIAL.search(re.sub(r"[*?]", "", _PLAIN_CLASS.sub("", text))):
        findings.disable(field, f"{text[:100]!r} means something else here")
    return text


def _rule(rights: Rights, names: _Rule) -> _Rule:
    return _Rule(rights & names.rights, names.allow, names.hide)


def _with_safe_renames(
    rules: dict[str, _Rule], given: Mapping[str, Rights], findings: UserFindings
) -> dict[str, _Rule]:
    """Without `rename`, if something could be moved to where SFTPGo would not have it."""
    renaming = [path for path, rule in rules.items() if Right.RENAME in rule.rights]
    refusing = [
        path for path, rule in rules.items() if rule.rights & _STORING and Right.RENAME not in rule.rights
    ]
    if not renaming or not refusing:
        return rules
    what = "permissions" if any(Right.RENAME not in _nearest(given, path) for path in refusing) else "filters"
    findings.narrow(what, f"nothing can be renamed, because it could be moved to {min(refusing)!r}")
    return {path: _Rule(rule.rights - {Right.RENAME}, rule.allow, rule.hide) for path, rule in rules.items()}


def _changed(rule: _Rule, rules: Mapping[str, _Rule], root: _Rule, path: str) -> dict[str, Any]:
    """The options of a path that differ from what the next rule above says."""
    above = _nearest({"/": root, **{each: rules[each] for each in rules if each != path}}, path)
    changed = {name: value for name, value in rule.options.items() if value != above.options[name]}
    return changed or {"rights": _words(rule.rights)}


def _nearest(found: Mapping[str, T], path: str) -> T:
    while path not in found:
        path = posixpath.dirname(path)
    return found[path]


def clean_path(path: str) -> str | None:
    """An absolute path as SFTPGo cleans it."""
    return posixpath.normpath("/" + path.lstrip("/")) if path.startswith("/") else None


def _words(rights: Rights) -> str | list[str]:
    for name, preset in PRESETS.items():
        if rights == preset:
            return name
    return [right.value for right in Right if right in rights]

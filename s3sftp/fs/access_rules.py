"""The rules of access: who may do what at a path and below it, to which names, how large, and on conflict.

    whole tree                 rights, allow, deny, hide, max_file_bytes, on_conflict
    └── a mount or a path      the same; what is unset comes from the next rule above

The rules of the longest matching path apply to a path. Name patterns are those of the directory that contains
the name: a rule for `/inbox` decides about names in `/inbox`, not about the name `inbox`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from s3sftp.config.name_patterns import matching_pattern
from s3sftp.errors import AlreadyExists, NotFound, PermissionDenied
from s3sftp.fs.paths import VirtualPath
from s3sftp.fs.rights import ALL_RIGHTS, Right, Rights, refusal

Patterns = tuple[str, ...]


class OnConflict(enum.StrEnum):
    """What becomes of an upload or a rename to a name that a file has."""

    OVERWRITE = "overwrite"
    """It replaces the file, if the user has the right to."""
    REFUSE = "refuse"
    KEEP_BOTH = "keep-both"
    """It gets another name: `report (2).csv`."""


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Rules for a path and everything below it. None: as the next rule above says."""

    rights: Rights | None = None
    allow: Patterns | None = None
    """Patterns of the only file names that may be used; empty: any name."""
    deny: Patterns | None = None
    """Patterns of file names that may not be used, although they are listed."""
    hide: Patterns | None = None
    """Patterns of names, of files and directories, that do not exist for the user."""
    max_file_bytes: int | None = None
    """The largest file that may be stored; 0: any size."""
    on_conflict: OnConflict | None = None

    def below(self, above: AppliedRules) -> AppliedRules:
        """These rules, completed by those of the next rule above."""
        return AppliedRules(
            above.rights if self.rights is None else self.rights,
            above.allow if self.allow is None else self.allow,
            above.deny if self.deny is None else self.deny,
            above.hide if self.hide is None else self.hide,
            above.max_file_bytes if self.max_file_bytes is None else self.max_file_bytes,
            above.on_conflict if self.on_conflict is None else self.on_conflict,
        )


@dataclass(frozen=True, slots=True)
class AppliedRules:
    """The rules that apply at a path, complete. The default allows everything."""

    rights: Rights = ALL_RIGHTS
    allow: Patterns = ()
    deny: Patterns = ()
    hide: Patterns = ()
    max_file_bytes: int = 0
    on_conflict: OnConflict = OnConflict.OVERWRITE

    def capped(self, most: Rights) -> AppliedRules:
        """The same with no other rights than `most`."""
        return replace(self, rights=self.rights & most)

    def is_narrower(self, other: AppliedRules) -> bool:
        """Whether a file that the other rules allow may be too large for these."""
        most = self.max_file_bytes
        return bool(most) and (not other.max_file_bytes or other.max_file_bytes > most)

    def require(self, *needs: Right) -> None:
        """Raises PermissionDenied: if a right is missing."""
        for right in needs:
            if right not in self.rights:
                raise self.missing(right)

    def missing(self, right: Right) -> PermissionDenied:
        """The error for a right that is missing."""
        return PermissionDenied(refusal(right, self.rights), rule=f"missing right: {right.value}")

    def refuse_replacing(self) -> None:
        """Raises PermissionDenied: if whole files may not be replaced; AlreadyExists: if none ever is."""
        self.require(Right.OVERWRITE)
        if self.on_conflict is OnConflict.REFUSE:
            raise AlreadyExists(rule="on_conflict: refuse")

    @property
    def sees(self) -> bool:
        """Whether the user may learn what exists: who may read a file may also ask whether it is there."""
        return Right.LIST in self.rights or Right.READ in self.rights

    @property
    def has_patterns(self) -> bool:
        return bool(self.allow or self.deny or self.hide)

    def hides(self, name: bytes) -> bool:
        """Whether a name in this directory does not exist for the user."""
        return matching_pattern(self.hide, name) is not None

    def refuse_hidden(self, name: bytes) -> None:
        """Raises NotFound: if the name is hidden, whether or not anything has it."""
        if (pattern := matching_pattern(self.hide, name)) is not None:
            raise NotFound(rule=f"hide: {pattern}")

    def refuse_file_name(self, name: bytes) -> None:
        """Raises PermissionDenied: if no file with this name may be used in this directory."""
        if (rule := self._refusing(name)) is not None:
            raise PermissionDenied("files with such a name are not accepted here", rule=rule)

    def accepts(self, name: bytes) -> bool:
        """Whether a file with this name may be used in this directory."""
        return self._refusing(name) is None

    def _refusing(self, name: bytes) -> str | None:
        """The rule by which no file with this name may be used in this directory."""
        if (pattern := matching_pattern(self.deny, name)) is not None:
            return f"deny: {pattern}"
        if self.allow and matching_pattern(self.allow, name) is None:
            return f"allow: {', '.join(self.allow)}"
        return None


class RuleTree:
    """The rules of one user's tree, by path. Immutable."""

    def __init__(
        self,
        root: AppliedRules,
        rules: Iterable[tuple[VirtualPath, AccessRules]] = (),
        *,
        most: Rights = ALL_RIGHTS,
    ) -> None:
        """`most`: the only rights that there may be anywhere, whatever the rules say."""
        self._applied: dict[tuple[bytes, ...], AppliedRules] = {(): root.capped(most)}
        given = [each for each in rules if each[1] != AccessRules()]
        self._deepest = max((len(path.names) for path, _ in given), default=0)
        for path, rule in sorted(given, key=lambda each: len(each[0].names)):
            self._applied[path.names] = rule.below(self.at(path)).capped(most)
        self.hide_anything = any(applied.hide for applied in self._applied.values())
        """Whether any names are hidden."""

    def at(self, path: VirtualPath) -> AppliedRules:
        """The rules that apply to a path: those of the longest matching one."""
        return self._at(path.names)

    def _at(self, names: tuple[bytes, ...]) -> AppliedRules:
        if not self._deepest:
            return self._applied[()]
        for depth in range(min(len(names), self._deepest), -1, -1):
            found = self._applied.get(names[:depth])
            if found is not None:
                return found
        raise AssertionError("the root always has rules")

    def for_storing(self, path: VirtualPath) -> AppliedRules:
        """The rules for a file that is stored at a path. One that may get a number instead of replacing
        another has to be small enough for the directory, whose rules apply to the numbered name."""
        rules = self.at(path)
        if rules.on_conflict is OnConflict.KEEP_BOTH and (beside := self.names_at(path)).is_narrower(rules):
            return replace(rules, max_file_bytes=beside.max_file_bytes)
        return rules

    def along(self, path: VirtualPath) -> Iterator[AppliedRules]:
        """For each name of a path the rules that decide about it, as `names_at`. Work grows with the number
        of names alone, because clients choose how many there are."""
        applied = self._applied[()]
        for depth in range(len(path.names)):
            if depth <= self._deepest:
                applied = self._applied.get(path.names[:depth], applied)
            yield applied

    def names_at(self, path: VirtualPath) -> AppliedRules:
        """The rules that decide about the name of a path: those of the directory that contains it."""
        return self._at(path.names[:-1])

    def below(self, path: VirtualPath) -> Iterator[tuple[bytes, ...]]:
        """Where rules begin below a path, as names relative to it."""
        depth = len(path.names)
        for each in self._applied:
            if len(each) > depth and each[:depth] == path.names:
                yield each[depth:]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RuleTree) and self._applied == other._applied

    __hash__ = None  # type: ignore[assignment]

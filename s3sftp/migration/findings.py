"""What an import has to say about each user: the report, for people and as JSON."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from s3sftp.telemetry.logs import printable

_MOST_CHARS = 600


class FindingKind(enum.StrEnum):
    """What a finding means for the user."""

    NOT_WRITTEN = "not-written"
    """The user cannot be written at all."""
    DISABLED = "disabled"
    """It restricts the user in the source and has no equivalent: the user is written disabled."""
    NARROWER = "narrower"
    """The user may do less than in the source."""
    ACCEPTED = "accepted"
    """A restriction that is lost because the operator has said so (`--ignore`)."""
    LEFT_OUT = "left-out"
    """It has no equivalent, and restricts nothing."""
    INTERNAL = "internal"
    """The same, of what the source keeps for itself: ids, times, counters, and how it reaches the storage."""


@dataclass(frozen=True, slots=True)
class ImportFinding:
    """One thing that was not carried over exactly."""

    kind: FindingKind
    field: str
    """The field of the source, such as `filters.denied_ip`."""
    text: str

    def __str__(self) -> str:
        return printable(f"{self.field}: {self.text}" if self.field else self.text, _MOST_CHARS)


class UserFindings:
    """Collects what is found about one user."""

    def __init__(self, ignored: Iterable[str] = ()) -> None:
        self.all: list[ImportFinding] = []
        self._ignored = frozenset(ignored)

    def __iter__(self) -> Iterator[ImportFinding]:
        return iter(self.all)

    def ignores(self, restriction: str) -> bool:
        """Whether the operator ignores this kind of restriction."""
        return restriction in self._ignored

    def refuse(self, field: str, text: str) -> None:
        """The user cannot be written."""
        self._add(FindingKind.NOT_WRITTEN, field, text)

    def disable(self, field: str, text: str, *, unless_ignored: str = "") -> None:
        """The user has to be disabled, unless the operator ignores this kind of restriction."""
        if unless_ignored in self._ignored:
            self._add(FindingKind.ACCEPTED, field, text)
        else:
            hint = f"; --ignore {unless_ignored} accepts that" if unless_ignored else ""
            self._add(FindingKind.DISABLED, field, text + hint)

    def narrow(self, field: str, text: str) -> None:
        """The user may do less than before."""
        self._add(FindingKind.NARROWER, field, text)

    def leave_out(self, field: str, text: str = "has no equivalent") -> None:
        """Something has no equivalent, and restricts nothing."""
        self._add(FindingKind.LEFT_OUT, field, text)

    def keep_internal(self, field: str) -> None:
        """Something is the source's own, such as an id or a counter."""
        self._add(FindingKind.INTERNAL, field, "is not about the user")

    def have(self, kind: FindingKind) -> bool:
        """Whether there is a finding of this kind."""
        return any(each.kind is kind for each in self.all)

    def _add(self, kind: FindingKind, field: str, text: str) -> None:
        finding = ImportFinding(kind, field, text)
        if finding not in self.all:
            self.all.append(finding)


@dataclass(frozen=True, slots=True)
class ImportedUser:
    """One user of the source, and what became of it."""

    name: str
    table: dict[str, Any] | None
    """The options of `[users.NAME]`; None: the user is not written."""
    findings: tuple[ImportFinding, ...] = ()

    @property
    def outcome(self) -> str:
        """`imported`, `disabled` or `not-written`."""
        if self.table is None:
            return "not-written"
        return "disabled" if any(each.kind is FindingKind.DISABLED for each in self.findings) else "imported"

    @property
    def reasons(self) -> tuple[ImportFinding, ...]:
        """Why the user is disabled, or not written."""
        kinds = (FindingKind.NOT_WRITTEN,) if self.table is None else (FindingKind.DISABLED,)
        return tuple(each for each in self.findings if each.kind in kinds)


@dataclass(frozen=True, slots=True)
class ImportedGroup:
    """What users have in common."""

    name: str
    table: dict[str, Any]
    """The options of `[groups.NAME]`."""


@dataclass(frozen=True, slots=True)
class Imported:
    """The result of an import."""

    users: tuple[ImportedUser, ...]
    general: tuple[ImportFinding, ...] = ()
    """What concerns no single user."""
    groups: tuple[ImportedGroup, ...] = ()
    """The groups that tables of users name."""

    @property
    def is_complete(self) -> bool:
        """Whether every user is there and may log in as before."""
        return all(user.outcome == "imported" for user in self.users)


def report_lines(imported: Imported) -> list[str]:
    """The report for people. What is left out of many users alike is told once."""
    common = _common(imported.users)
    lines = [f"note: {finding}" for finding in imported.general]
    for user in imported.users:
        told = (each for each in user.findings if each.kind is not FindingKind.INTERNAL)
        shown = [each for each in told if each not in common]
        if shown or user.outcome != "imported":
            lines.append(f"{printable(user.name, 120)}: {_OUTCOMES[user.outcome]}")
            lines += [f"  {_WORDS[each.kind]} {each}" for each in shown]
    lines += [f"{count} users: {_WORDS[each.kind]} {each}" for each, count in common.items()]
    names = {
        each.field for user in imported.users for each in user.findings if each.kind is FindingKind.INTERNAL
    }
    if names:
        fields = sorted({name.rpartition(".")[2] for name in names})
        lines.append(f"left out, because the source keeps it for itself: {', '.join(fields)}")
    counts = [sum(user.outcome == outcome for user in imported.users) for outcome in _OUTCOMES]
    lines.append(f"{counts[0]} imported, {counts[1]} written disabled, {counts[2]} not written")
    return lines


def report_object(imported: Imported) -> dict[str, Any]:
    """The report as JSON: every finding of every user."""
    return {
        "general": [_as_object(each) for each in imported.general],
        "users": [
            {
                "name": user.name,
                "outcome": user.outcome,
                "findings": [_as_object(each) for each in user.findings],
            }
            for user in imported.users
        ],
    }


_OUTCOMES = {"imported": "imported", "disabled": "written disabled", "not-written": "not written"}
_WORDS = {
    FindingKind.NOT_WRITTEN: "refused:",
    FindingKind.DISABLED: "disabled:",
    FindingKind.NARROWER: "less:",
    FindingKind.ACCEPTED: "ignored:",
    FindingKind.LEFT_OUT: "left out:",
    FindingKind.INTERNAL: "left out:",
}
_MANY = 4


def _common(users: Sequence[ImportedUser]) -> dict[ImportFinding, int]:
    """What is left out of many users in the same words."""
    counts: dict[ImportFinding, int] = {}
    for user in users:
        for each in user.findings:
            if each.kind is FindingKind.LEFT_OUT:
                counts[each] = counts.get(each, 0) + 1
    return {finding: count for finding, count in counts.items() if count >= _MANY}


def _as_object(finding: ImportFinding) -> dict[str, str]:
    return {"kind": finding.kind.value, "field": finding.field, "text": finding.text}

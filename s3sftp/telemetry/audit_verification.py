"""Checks the chain of an audit log, and says which lines are not as the server wrote them.

docs/audit.md says what each finding means.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from s3sftp.telemetry.audit_chain import ChainedLine, Position, is_genuine, is_keyed, read_line
from s3sftp.telemetry.audit_reading import UNREADABLE, LineFinding, in_order, lines_of, unreadable


@dataclass(slots=True)
class Verification:
    """What was found. The log is whole if there are no problems."""

    files: list[Path] = field(default_factory=list)
    """In the order of their lines."""
    lines: int = 0
    """Those that have a place in a chain."""
    first: Position | None = None
    last: Position | None = None
    problems: list[LineFinding] = field(default_factory=list)
    notes: list[LineFinding] = field(default_factory=list)
    """What is no fault, and what a reader should know."""
    anchors: int = 0
    """Places that the server has logged and a line has."""
    not_found: list[str] = field(default_factory=list)
    """Hashes that some line should have, and none has."""

    @property
    def is_whole(self) -> bool:
        return not self.problems and not self.not_found


def verify(
    files: Sequence[Path],
    keys: Sequence[bytes] = (),
    expected: Collection[str] = (),
    anchors: Collection[Position] = (),
    after: str | None = None,
    keyed_from: str | None = None,
) -> Verification:
    """Check the lines of a log. Blocks for as long as it takes to read the files.

    `expected`: hashes that lines have. `anchors`: places that the server has logged; those before the first
    line of the files are not looked for. `after`: the hash of the last line that rotation has removed;
    without it the first line must be the first of the chain. `keyed_from`: the hash of the first line
    that was hashed with a key; without it, and with `keys`, no line may be without.
    """
    check = _Check(keys, expected, anchors, after, keyed_from)
    check.found.files = in_order(files, check.found.problems)
    for file in check.found.files:
        try:
            for number, line in enumerate(lines_of(file), start=1):
                check.take(file, number, line)
        except UNREADABLE as error:
            check.found.problems.append(unreadable(file, error))
    check.end(files)
    return check.found


class _Check:
    """Takes the lines one by one."""

    def __init__(
        self,
        keys: Sequence[bytes],
        expected: Collection[str],
        anchors: Collection[Position],
        after: str | None,
        keyed_from: str | None,
    ) -> None:
        self.found = Verification()
        self._anchors = {_bare(each.hash): each for each in anchors}
        self._begins: dict[str, int] = {}
        """The first line of each chain."""
        self._keys = keys
        self._expected = dict.fromkeys(map(_bare, expected))
        self._after = None if after is None else _bare(after)
        self._strange: tuple[LineFinding, bytes] | None = None
        """The last line, if it has no place in a chain."""
        self._before = 0
        """Lines before the first that has a place."""
        self._is_keyed = after is not None and is_keyed(after.lower())
        """Whether a line before this one was hashed with a key."""
        self._keyed_from = None if keyed_from is None else _bare(keyed_from)
        """None: found, or not asked for."""
        self._needs_key = bool(keys) and keyed_from is None

    def take(self, file: Path, number: int, line: bytes) -> None:
        read = read_line(line[:-1]) if line.endswith(b"\n") else None
        if read is None:
            self._take_strange(file, number, line)
            return
        genuine = is_genuine(read, self._keys)
        problems = [*self._after_strange(read), *self._not_genuine(read, genuine), *self._misplaced(read)]
        self.found.problems += [LineFinding(file, number, text) for text in problems]
        self.found.lines += 1
        self._begins.setdefault(read.at.chain, read.at.sequence)
        if genuine:
            self._expected.pop(_bare(read.at.hash), None)
            if self._anchors.pop(_bare(read.at.hash), None) is not None:
                self.found.anchors += 1
            if is_keyed(read.at.hash) and _bare(read.at.hash) == self._keyed_from:
                self._keyed_from = None
        self.found.first = self.found.first or read.at
        last = self.found.last
        if last is None or last.chain != read.at.chain or read.at.sequence > last.sequence:
            self.found.last = read.at

    def end(self, files: Sequence[Path]) -> None:
        """All lines were taken."""
        self._report_strange(is_end=True)
        self.found.not_found = list(self._expected)
        if self._keyed_from is not None:
            self.found.not_found.append(self._keyed_from)
        self.found.not_found += [
            each.hash for each in self._anchors.values() if each.sequence >= self._begins.get(each.chain, 0)
        ]
        where = self.found.files[-1] if self.found.files else files[0]
        if self.found.lines == 0 and not self.found.problems:
            self.found.problems.append(LineFinding(where, 0, "no line has a chain: audit.chain was not on"))

    # ── lines without a place ───────────────────────────────────────────────────────────────────────

    def _take_strange(self, file: Path, number: int, line: bytes) -> None:
        self._report_strange()
        if self.found.last is None:
            self._before += 1
        else:
            text = "is not of the chain: it was inserted, or changed beyond recognition"
            self._strange = LineFinding(file, number, text), line

    def _report_strange(self, *, is_end: bool = False) -> None:
        """The line before was no leftover of a crash."""
        if self._strange is None:
            return
        (finding, line), self._strange = self._strange, None
        if _is_beginning(line):
            text = "the file ends in the middle of this line"
            finding = LineFinding(finding.file, finding.line, text)
            if not is_end:  # a crash before the file was rotated
                self.found.notes.append(finding)
                return
        self.found.problems.append(finding)

    def _after_strange(self, read: ChainedLine) -> Iterator[str]:
        if self._strange is None:
            if read.cut_off is not None and self.found.last is not None:
                yield "the beginning of a line, which a crash had left before it, was removed"
        elif read.cut_off == hashlib.sha256(self._strange[1].removesuffix(b"\n")).hexdigest():
            finding, self._strange = self._strange[0], None
            self.found.notes.append(LineFinding(finding.file, finding.line, "a crash cut this line off"))
        else:
            self._report_strange()
        if self._before:
            yield f"{_lines_are(self._before)} before it without a hash, so nobody knows who wrote them"
            self._before = 0

    # ── lines with a place ──────────────────────────────────────────────────────────────────────────

    def _not_genuine(self, read: ChainedLine, genuine: bool) -> Iterator[str]:
        keyed = is_keyed(read.at.hash)
        if keyed and not self._keys:
            yield "was hashed with a key, which is needed to check it: --key FILE"
        elif not genuine:
            yield "was changed: its hash is not that of its bytes" + (" with this key" if keyed else "")
        if self._is_keyed and not keyed:
            yield "was hashed without a key, and lines before it with one"
        elif self._needs_key and not keyed:
            yield (
                "was hashed without a key. If the key was turned on later, name the hash of the first line "
                "with it, as you know it from then: --keyed-from"
            )
        self._is_keyed = self._is_keyed or keyed

    def _misplaced(self, read: ChainedLine) -> Iterator[str]:
        last, at = self.found.last, read.at
        if last is None:
            if at.sequence != 1 and self._after is None:
                yield (
                    f"is line {at.sequence} of the chain: those before it are missing. If rotation has "
                    "removed them, name the hash of the last one with --after"
                )
            elif self._after is not None and _bare(read.previous) != self._after:
                yield "does not follow the line of --after"
        elif at.chain != last.chain:
            yield (
                "begins a new chain: the end of the one before may be missing"
                if at.sequence == 1
                else f"is of another chain, {at.chain} instead of {last.chain}"
            )
        elif at.sequence > last.sequence + 1:
            missing = at.sequence - last.sequence - 1
            yield f"{_lines_are(missing)} missing before it, from {last.sequence + 1} of the chain on"
        elif at.sequence <= last.sequence:
            yield f"stands in the wrong place: it is line {at.sequence} of the chain, after {last.sequence}"
        elif read.previous != last.hash:
            yield "does not follow the line before it, which is not the one that the server wrote"


def _lines_are(count: int) -> str:
    return "1 line is" if count == 1 else f"{count} lines are"


def _bare(hash_: str) -> str:
    """The hash without its algorithm."""
    return hash_.rpartition(":")[2].lower()


def _is_beginning(line: bytes) -> bool:
    """Whether it may be what a crash left of a line: nobody would read it as a whole one."""
    return not line.endswith(b"\n") and not line.rstrip().endswith(b"}")

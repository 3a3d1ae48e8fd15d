"""What the other workers of the server have changed, so that no fact outlives it.

Each name falls on two rows of a table that all workers see, and each worker counts its changes there: one for
the name itself, one for what is below it. A file that comes or is replaced moves its own row, and the second
ones of the directories above: they are still there. One that goes moves both of theirs: they may have gone
with it. Trees that are moved have one row for all: then every fact of the other workers is asked for again.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from s3sftp.counters import Table, row_of

ROWS = (1 << 16) + 1
"""The last one is for trees. Names that share a row only cost a request."""


class Generations:
    """The table as one worker uses it; without one there are no others."""

    def __init__(self, table: Table | None = None) -> None:
        self._table = table if table is not None and table.columns > 1 else None
        self._rows = 0 if table is None else len(table) - 1

    def of(self, key: str) -> int:
        """A number that grows whenever another worker may have changed what the name is."""
        if self._table is None:
            return 0
        return self._table.others(row_of(key, self._rows)) + self._table.others(self._rows)

    def inside(self, key: str) -> int:
        """A number that grows whenever another worker changes anything below the name, or the name."""
        if self._table is None:
            return 0
        return self.of(key) + self._table.others(row_of(f"{key}/", self._rows))

    def changed(self, key: str, above: Iterable[str], standing: Container[str], *, tree: bool) -> None:
        """Tell the others that a key is not what it was; with `tree`, nor what is below it.

        `above` are the directories above, from the root down: who sees that the last has changed sees it of
        those before. Those in `standing` are there in any case.
        """
        if self._table is None:
            return
        if tree:
            self.everything_changed()
        for name in above:
            self._table.add(row_of(f"{name}/", self._rows))
            if name not in standing:
                self._table.add(row_of(name, self._rows))
        self._table.add(row_of(key, self._rows))

    def everything_changed(self) -> None:
        """Tell the others that nothing may be what it was."""
        if self._table is not None:
            self._table.add(self._rows)

"""Rows as aligned columns of plain text, whole however wide they are: for pipes, files and narrow needs."""

from __future__ import annotations

from collections.abc import Sequence

from s3sftp.telemetry.logs import printable


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line for each row, columns two spaces apart. What is not printable is escaped."""
    if not rows:
        return []
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in shown) for column in range(len(shown[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    ]

"""Which of the contract's optional callbacks a service has, by their names."""

from __future__ import annotations

from collections.abc import Collection

from s3sftp.backends.capabilities import examine

RANGED_READS = frozenset({"read_file_range"})
STREAMED_WRITES = frozenset({"begin_write", "write_chunk", "finish_write", "abort_write"})
EXTRAS = frozenset({"keep_range", "copy", "set_mtime", "usage"})
EVERYTHING = RANGED_READS | STREAMED_WRITES | EXTRAS
"""A service with none of these gets whole files, which wait in the server's spool until they are whole."""


def callbacks_of(backend: object) -> frozenset[str]:
    """Those that a `Backend` object has. Raises ConfigurationError with everything that is wrong with it."""
    can = examine(backend)
    found = {name for name in EXTRAS if getattr(can, name)}
    found |= RANGED_READS if can.ranged_reads else set()
    return frozenset(found | (STREAMED_WRITES if can.streamed_writes else set()))


def callback_problem(callbacks: Collection[str]) -> str | None:
    """What is wrong with a choice of callbacks; None if nothing is."""
    if unknown := sorted(set(callbacks) - EVERYTHING):
        return f"unknown callbacks: {', '.join(unknown)}"
    given = STREAMED_WRITES & set(callbacks)
    if given and given != STREAMED_WRITES:
        return f"of the four callbacks for streaming, {', '.join(sorted(STREAMED_WRITES - given))} is missing"
    if "keep_range" in callbacks and not given:
        return "keep_range needs begin_write, write_chunk, finish_write and abort_write"
    return None

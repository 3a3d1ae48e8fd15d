"""Which of the contract's optional callbacks a service has, by their names."""

from __future__ import annotations

from collections.abc import Collection

from s3sftp.backends.capabilities import examine
from s3sftp.backends.contract import Extras, RangedReads, StreamedWrites
from s3sftp.backends.operations import names_of

RANGED_READS = frozenset(names_of(RangedReads))
STREAMED_WRITES = frozenset(names_of(StreamedWrites))
EVERYTHING = RANGED_READS | STREAMED_WRITES | frozenset(names_of(Extras))
"""A service with none of these gets whole files, which wait in the server's spool until they are whole."""


def callbacks_of(backend: object) -> frozenset[str]:
    """Those that a `Backend` object has. Raises ConfigurationError with everything that is wrong with it."""
    can = examine(backend)
    ranged = RANGED_READS if can.ranged_reads else frozenset()
    return can.extras | ranged | (STREAMED_WRITES if can.streamed_writes else frozenset())


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

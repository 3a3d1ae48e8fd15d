"""The optional operations ("callbacks") that a service offers, by name, and the check of a choice of them."""

from __future__ import annotations

from collections.abc import Collection

from s3sftp.backends.capabilities import examine
from s3sftp.backends.contract import Extras, RangedReads, StreamedWrites
from s3sftp.backends.operations import names_of

RANGED_READS = frozenset(names_of(RangedReads))
STREAMED_WRITES = frozenset(names_of(StreamedWrites))
EVERYTHING = RANGED_READS | STREAMED_WRITES | frozenset(names_of(Extras))
"""All optional operations. A service with none of them gets whole files, which the server holds in its spool
until they are complete."""


def callbacks_of(backend: object) -> frozenset[str]:
    """The optional operations that a `Backend` object has.

    Raises ConfigurationError: if the object does not fit the contract; the error lists all problems.
    """
    can = examine(backend)
    ranged = RANGED_READS if can.ranged_reads else frozenset()
    return can.extras | ranged | (STREAMED_WRITES if can.streamed_writes else frozenset())


def callback_problem(callbacks: Collection[str]) -> str | None:
    """The problem with a choice of callbacks; None if there is none."""
    if unknown := sorted(set(callbacks) - EVERYTHING):
        return f"unknown callbacks: {', '.join(unknown)}"
    given = STREAMED_WRITES & set(callbacks)
    if given and given != STREAMED_WRITES:
        return f"of the four callbacks for streaming, {', '.join(sorted(STREAMED_WRITES - given))} is missing"
    if "keep_range" in callbacks and not given:
        return "keep_range needs begin_write, write_chunk, finish_write and abort_write"
    return None

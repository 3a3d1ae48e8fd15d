"""What can go wrong in one measurement. The run goes on with the next."""

from __future__ import annotations


class Failed(Exception):
    """A peer or a client did not do what it should; the text says what, with the last it said."""


class WrongResult(Failed):
    """What came out is not what went in: every number of that peer at that work is worthless."""

"""Options of the `[events]` group."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from s3sftp.config import Options, PositiveDuration
from s3sftp.events.expect.options import ExpectOptions
from s3sftp.events.sinks import SinkOptions


def _usable_name(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", name):
        raise ValueError("the name should be 1 to 40 lower-case letters, digits, '-' or '_', a letter first")
    return name


TableName = Annotated[str, AfterValidator(_usable_name)]


class EventsOptions(Options):
    """Events for other systems: which server they come from, and how they wait until a sink accepts them. See
    event-delivery.md."""

    sinks: dict[TableName, SinkOptions] = Field(default_factory=dict)
    """The systems that receive events, by names that logs have. Without any, nothing is announced."""
    expect: dict[TableName, ExpectOptions] = Field(default_factory=dict)
    """Files that partners should have delivered by a time of day, by names that logs have. One that has not
    come is the event `file.missing`, a line of the log and a metric."""
    source: str = Field(default="urn:s3sftp", min_length=1, max_length=500, pattern=r"^[!-~]+$")
    """The `source` of all events, a URI reference: which server they come from. Receivers drop a second event
    with the same `source` and `id`. All replicas of a server should have the same."""
    temporary_names: list[str] = Field(default=["*.filepart", "*.partial"], max_length=100)
    """Patterns of the names that clients give to files that are not complete yet. There are no events of
    such files; when one gets another name, that is the upload's commit. Empty: there are no such names."""
    takeover_time: PositiveDuration = timedelta(minutes=1)
    """How long a process must have shown no sign of life before another one delivers the events that it has
    left in the outbox. Processes that stop in peace hand them over at once. At least 5 s."""
    max_waiting: int = Field(default=1000, ge=10, le=100_000)
    """Maximum number of events that wait in the memory of a process for one sink. Further ones wait in the
    outbox alone."""
    first_pause: PositiveDuration = timedelta(seconds=1)
    """The pause after a failed attempt. It doubles with each further failure in a row,"""
    longest_pause: PositiveDuration = timedelta(minutes=1)
    """but never exceeds this."""

    @field_validator("takeover_time")
    @classmethod
    def _longer_than_a_hiccup(cls, time: timedelta) -> timedelta:
        if time < timedelta(seconds=5):
            raise ValueError("should be at least 5 s: a process that is busy would count as dead")
        return time

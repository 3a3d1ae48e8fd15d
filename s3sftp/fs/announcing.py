"""Connects a storage with the sinks of a server."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from s3sftp.events.announcements import Announcer
from s3sftp.events.dispatcher import EventDispatcher
from s3sftp.events.event_metrics import EventMetrics
from s3sftp.events.options import EventsOptions
from s3sftp.events.outbox.looking import look, objects_of
from s3sftp.events.routes import Routes, SinkRule
from s3sftp.events.sink import EventSink
from s3sftp.fs.open_storage import OpenStorage
from s3sftp.runtime.backoff import Backoff
from s3sftp.telemetry.metrics import Metrics


def announce_in(
    volume: OpenStorage,
    sinks: Sequence[tuple[SinkRule, EventSink]],
    options: EventsOptions,
    metrics: Metrics,
) -> EventDispatcher | None:
    """Have what users do in a storage announced to the sinks. Returns the dispatcher, which the caller starts
    and stops; None if there are no sinks."""
    if not sinks:
        return None
    dispatcher = EventDispatcher(
        sinks,
        objects_of(volume.backend),
        EventMetrics(metrics),
        partial(look, volume.backend),
        takeover_seconds=options.takeover_time.total_seconds(),
        most_waiting=options.max_waiting,
        backoff=Backoff(options.first_pause.total_seconds(), options.longest_pause.total_seconds()),
    )
    routes = Routes([rule for rule, _ in sinks], options.temporary_names)
    volume.announcer = Announcer(routes, options.source, volume.backend, dispatcher)
    return dispatcher

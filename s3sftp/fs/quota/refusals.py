"""Counts what quotas refuse, in the metric of limits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from s3sftp.errors import NoSpace
from s3sftp.telemetry.metric_catalogue import LIMITS_REACHED
from s3sftp.telemetry.metrics import Metrics


@contextmanager
def counting_refusals(metrics: Metrics) -> Iterator[None]:
    """Count an error that leaves this block if a quota raised it, and not the storage."""
    try:
        yield
    except NoSpace as error:
        if (error.rule or "").startswith("quota."):
            metrics.add(LIMITS_REACHED.row("quota"))
        raise

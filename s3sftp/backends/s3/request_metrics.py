"""Counts the requests to the store for the metrics."""

from __future__ import annotations

from s3sftp.backends.s3.errors import RequestError
from s3sftp.telemetry.metric_catalogue import S3_APIS, S3_REQUESTS, S3_RETRIES, S3_THROTTLES
from s3sftp.telemetry.metrics import Metrics


class S3RequestMetrics:
    """Counts each attempt of one storage when it has ended."""

    def __init__(self, metrics: Metrics, storage: str = "") -> None:
        """`storage` is its name."""
        self._add = metrics.add
        self._storage = metrics.number_of(storage)

    def ended(self, api: str, request_error: RequestError | None, *, retry: bool) -> None:
        """Count an attempt that got a reply or a `RequestError`."""
        self._count(api, "ok" if request_error is None else result_of(request_error), retry=retry)
        if request_error is not None and request_error.is_throttle:
            self._add(S3_THROTTLES.row(storage=self._storage))

    def given_up(self, api: str, *, retry: bool) -> None:
        """Count an attempt that was cancelled before its reply."""
        self._count(api, "no_answer", retry=retry)

    def _count(self, api: str, result: str, *, retry: bool) -> None:
        self._add(S3_REQUESTS.row(api if api in S3_APIS else "other", result, storage=self._storage))
        if retry:
            self._add(S3_RETRIES.row(storage=self._storage))


def result_of(request_error: RequestError) -> str:
    """Return one of `metric_catalogue.S3_RESULTS`."""
    if request_error.is_throttle:
        return "throttled"
    if request_error.status == 0:
        return "no_answer"
    is_refusal = 300 <= request_error.status < 500
    return "client_error" if is_refusal else "server_error"  # S3 also sends errors in replies with status 200

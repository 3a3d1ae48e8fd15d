"""Metrics by OTLP, as the standard variables ask for it: a real server, and a collector of its own."""

from __future__ import annotations

import socket
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from s3sftp.errors import ConfigurationError
from s3sftp.telemetry.instrument import InstrumentKind
from s3sftp.telemetry.metric_catalogue import CATALOGUE
from s3sftp.telemetry.metrics import Metrics
from s3sftp.telemetry.metrics_export import configure_exporting
from testbed.processes import wait_until
from tests.cli.command_process import Running, batch, running, sftp_command, write_key_pair
from tests.support.otlp_collector import Collector, collecting, values_of

SOON = "200"
"""Milliseconds between two exports."""


def local_server(directory: Path, workers: str, **environ: str):  # type: ignore[no-untyped-def]
    """A directory of this machine, served."""
    key, root = directory / "key", directory / "served"
    write_key_pair(key)
    root.mkdir()
    words = ["serve", "--backend", "local", "--host", "127.0.0.1", "--port", "0"]
    words += ["--state-dir", str(directory / "state"), "--workers", workers]
    words += ["--user", "alice", "--authorized-keys", f"{key}.pub"]
    return running(*words, directory=directory, S3SFTP_LOCAL__ROOT=str(root), **environ)


def put(server: Running, directory: Path, size: int) -> None:
    (directory / "file").write_bytes(b"x" * size)
    assert batch(sftp_command(server.port, directory / "key"), f"put {directory}/file\n").returncode == 0


@pytest.mark.parametrize("workers", ["1", "2"], ids=["one process", "two workers"])
def test_every_instrument_is_exported_and_the_last_numbers_at_the_end(tmp_path: Path, workers: str) -> None:
    with collecting() as collector:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_METRIC_EXPORT_INTERVAL": SOON}
        with local_server(tmp_path, workers, **environ) as server:
            server.wait_event("server.started")
            wait_until(ready(collector, int(workers)), 30, "the workers to be told as ready")
            put(server, tmp_path, 1000)
            assert server.process.stop() == 0
    found = collector.metrics()
    assert set(found) == {each.full_name for each in CATALOGUE}
    assert values_of(found["s3sftp_received_bytes_total"]) == {(): 1000}
    closed = (("direction", "upload"), ("reason", "closed"), ("result", "committed"))
    assert values_of(found["s3sftp_transfers_total"])[closed] == 1
    assert len(values_of(found["s3sftp_event_loop_lag_seconds"])) == int(workers)
    assert (
        found["s3sftp_received_bytes_total"].unit,
        found["s3sftp_event_loop_lag_seconds"].unit,
    ) == ("By", "s")
    assert collector.resource()["service.name"] == "s3sftp"
    assert_cumulative(collector)


def ready(collector: Collector, workers: int) -> Callable[[], bool]:
    def is_ready() -> bool:
        if not collector.exports:
            return False
        found = collector.metrics()
        numbers = [values_of(found[f"s3sftp_{name}"])[()] for name in ("workers", "workers_ready", "ready")]
        return numbers == [workers, workers, 1]

    return is_ready


def assert_cumulative(collector: Collector) -> None:
    """Sums and histograms say how much there was since a beginning that stays, and none of them falls."""
    found, kinds = collector.metrics(), {each.full_name: each.kind for each in CATALOGUE}
    for name, metric in found.items():
        match kinds[name]:
            case InstrumentKind.GAUGE:
                assert metric.HasField("gauge")
            case InstrumentKind.COUNTER:
                assert metric.sum.is_monotonic
                assert metric.sum.aggregation_temporality == CUMULATIVE
            case InstrumentKind.HISTOGRAM:
                assert metric.histogram.aggregation_temporality == CUMULATIVE
                for point in metric.histogram.data_points:
                    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
                    assert sum(point.bucket_counts) == point.count
    begun = {
        point.start_time_unix_nano
        for export in collector.exports
        for resource in export.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.sum.data_points
    }
    assert len(begun) == 1
    answered = []
    for export in collector.exports:
        (durations,) = (
            metric
            for metric in export.resource_metrics[0].scope_metrics[0].metrics
            if metric.name == "s3sftp_operation_duration_seconds"
        )
        answered.append(sum(point.count for point in durations.histogram.data_points))
    assert answered[-1] > 0
    assert all(before <= after for before, after in pairwise(answered))


CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE


def test_a_collector_that_never_answers_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environ = {
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}/v1/metrics",
            "OTEL_METRIC_EXPORT_INTERVAL": SOON,
        }
        with local_server(tmp_path, "2", **environ) as server:
            server.wait_event("server.started")
            put(server, tmp_path, 10)  # and is served meanwhile
            assert server.process.stop(grace=12) == 0


def test_the_console_is_an_exporter_too(tmp_path: Path) -> None:
    with local_server(tmp_path, "1", OTEL_METRICS_EXPORTER="console") as server:
        server.wait_event("server.started")
        assert server.process.stop() == 0
        assert "s3sftp_operation_duration_seconds" in server.process.output()


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_METRICS_EXPORTER": "none"},
        {"OTEL_METRICS_EXPORTER": "prometheus"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"},
        {"OTEL_METRICS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_METRICS_EXPORTER": "console"},
    ],
)
def test_nothing_is_exported_when_the_environment_asks_for_nothing(environ: dict[str, str]) -> None:
    assert configure_exporting(Metrics(), environ) is None


def test_an_exporter_that_is_not_installed_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"OTEL_METRICS_EXPORTER.*statsd.*otlp_proto_http"):
        configure_exporting(Metrics(), {"OTEL_METRICS_EXPORTER": "statsd"})


@pytest.mark.parametrize("interval", ["0", "-5", "a minute", "1.5", "86400001", "1" * 5000])
def test_an_interval_that_is_none_is_named(interval: str) -> None:
    with pytest.raises(ConfigurationError, match="OTEL_METRIC_EXPORT_INTERVAL"):
        configure_exporting(
            Metrics(), {"OTEL_METRICS_EXPORTER": "console", "OTEL_METRIC_EXPORT_INTERVAL": interval}
        )


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_that_cannot_export_does_not_start(tmp_path: Path, workers: str) -> None:
    with local_server(tmp_path, workers, OTEL_METRICS_EXPORTER="statsd") as server:
        assert server.process.wait(20) == 2
        assert "statsd" in server.process.output()

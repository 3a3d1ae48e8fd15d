"""The catalogue of metrics: what the code can count is declared, and nothing else is shown."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from botocore import exceptions as boto

from s3sftp import errors
from s3sftp.backends.s3.errors import classify
from s3sftp.backends.s3.request_metrics import S3RequestMetrics, result_of
from s3sftp.fs import FailureReason
from s3sftp.fs.transfer_record import FAILURES
from s3sftp.runtime.shared_counters import SharedCounters, create_shared_file
from s3sftp.sftp.codec import PacketType
from s3sftp.sftp.extensions import ANNOUNCED
from s3sftp.sftp.request_metrics import operation_of, operation_of_packet
from s3sftp.sftp.status import Status
from s3sftp.telemetry import metric_catalogue
from s3sftp.telemetry.instrument import MOST_STORAGES, InstrumentKind
from s3sftp.telemetry.metric_catalogue import CATALOGUE, OPERATIONS, ROWS, S3_APIS, S3_RESULTS
from s3sftp.telemetry.metrics import Metrics
from s3sftp.telemetry.periodic_gauges import WindowMaximum
from tests.support.parsed_metrics import of, promtool

PACKAGE = Path(metric_catalogue.__file__).parents[1]

PROMISED = {
    "build_info": "version",
    "connections": "",
    "connections_total": "result",
    "bans": "",
    "bans_total": "reason",
    "sessions": "",
    "logins_total": "method result",
    "limits_reached_total": "limit",
    "hook_requests_total": "result",
    "hook_down": "",
    "aws_user_requests_total": "service result",
    "aws_users_down": "service",
    "shared_state_requests_total": "purpose result",
    "shared_state_down": "",
    "events_total": "sink kind result",
    "events_waiting": "sink",
    "events_oldest_seconds": "worker",
    "event_sinks_failing": "sink",
    "operations_total": "operation result",
    "operation_duration_seconds": "operation result",
    "received_bytes_total": "",
    "sent_bytes_total": "",
    "files_missing_total": "",
    "kept_uploads_total": "outcome",
    "kept_uploads": "storage",
    "kept_upload_bytes": "storage",
    "open_handles": "kind",
    "buffered_bytes": "",
    "buffer_limit_bytes": "",
    "s3_requests_total": "storage api result",
    "s3_retries_total": "storage",
    "s3_throttles_total": "storage",
    "s3_cost_dollars_total": "storage",
    "transfers_total": "direction result reason",
    "event_loop_lag_seconds": "worker",
    "workers": "",
    "workers_ready": "",
    "worker_restarts_total": "",
    "users": "",
    "config_reloads_total": "result",
    "ready": "",
}


def test_every_metric_that_is_promised_is_there_with_its_labels() -> None:
    assert {each.full_name: " ".join(each.labels) for each in CATALOGUE} == {
        f"s3sftp_{name}": labels for name, labels in PROMISED.items()
    }


def test_promtool_finds_nothing() -> None:
    assert promtool(Metrics().render()[0]) == ""


def test_every_series_has_rows_of_its_own() -> None:
    spans = sorted(
        (each.row(*values, storage=number), each.width)
        for each in CATALOGUE
        for number in range(MOST_STORAGES if each.per_storage else 1)
        for values in each.series
    )
    assert all(start + width == following for (start, width), (following, _) in pairwise(spans))
    assert spans[0][0] == 0
    assert sum(spans[-1]) == ROWS


def test_every_series_is_shown_from_the_start_and_nothing_adds_one() -> None:
    metrics = Metrics()
    before = set(of(metrics).samples)
    for row in range(ROWS):
        metrics.add(row)
    assert set(of(metrics).samples) == before


def test_what_is_not_declared_is_counted_where_the_rest_is() -> None:
    instrument = metric_catalogue.OPERATIONS_TOTAL
    assert instrument.row("hack", "ok") == instrument.row("unknown", "failure")
    with pytest.raises(KeyError):
        metric_catalogue.LOGINS.row("alice", "accepted")


def test_every_request_of_the_protocol_is_an_operation() -> None:
    requests = [
        kind
        for kind in PacketType
        if PacketType.INIT < kind < PacketType.STATUS and kind is not PacketType.VERSION
    ]
    assert len(requests) == 18
    names = {operation_of_packet(kind, bytes([kind]) + bytes(8)) for kind in requests}
    names |= {
        operation_of_packet(
            PacketType.EXTENDED, bytes([PacketType.EXTENDED]) + bytes(7) + bytes([len(name)]) + name
        )
        for name, _ in ANNOUNCED
    }
    assert names == set(OPERATIONS) - {"unknown"}


@pytest.mark.parametrize("name", ["x" * 1000, "\xff\x00", "nothing@openssh.com", ""])
def test_what_a_client_calls_an_extension_is_no_name_of_a_series(name: str) -> None:
    raw = name.encode("latin-1")
    packet = bytes([PacketType.EXTENDED]) + bytes(4) + len(raw).to_bytes(4, "big") + raw
    assert operation_of_packet(PacketType.EXTENDED, packet) == "unknown"
    assert operation_of_packet(PacketType.EXTENDED, packet[:7]) == "unknown"
    assert operation_of_packet(99, packet) == "unknown"


def test_every_request_that_is_logged_by_name_is_an_operation() -> None:
    source = "\n".join(file.read_text("utf-8") for file in (PACKAGE / "sftp").rglob("*.py"))
    names = set(re.findall(r'Request\(\s*request_id, "([\w-]+)"', source))
    assert len(names) > 15
    assert {name for name in names if operation_of(name) == "unknown"} == set()


def test_results_are_the_status_codes_by_number() -> None:
    assert [status.name.lower() for status in Status] == list(metric_catalogue.STATUSES)
    assert [int(status) for status in Status] == list(range(len(Status)))


def test_every_api_that_the_code_calls_has_its_series() -> None:
    source = "\n".join(file.read_text("utf-8") for file in (PACKAGE / "backends/s3").rglob("*.py"))
    called = set(re.findall(r"\.call\(\s*\"(\w+)\"", source)) | {"PutObject", "UploadPart"}
    assert len(called) > 12
    assert called <= set(S3_APIS)


def test_every_error_of_storages_is_the_reason_of_a_transfer_that_failed() -> None:
    tree = {value for value in vars(errors).values() if isinstance(value, type)}
    assert {kind for kind in tree if issubclass(kind, errors.StorageError)} == set(FAILURES)
    assert {*FAILURES.values(), "internal_error"} == set(metric_catalogue.FAILURES)
    reasons = {series[2] for series in metric_catalogue.TRANSFERS.series if series[1] == "aborted"}
    assert reasons == set(FailureReason)


@pytest.mark.parametrize(
    ("status", "code", "result"),
    [
        (503, "SlowDown", "throttled"),
        (503, "ServiceUnavailable", "throttled"),
        (429, "", "throttled"),
        (200, "SlowDown", "throttled"),
        (500, "InternalError", "server_error"),
        (502, "", "server_error"),
        (200, "InternalError", "server_error"),
        (404, "NoSuchKey", "client_error"),
        (412, "PreconditionFailed", "client_error"),
        (409, "OperationAborted", "client_error"),
        (307, "TemporaryRedirect", "client_error"),
        (403, "AccessDenied", "client_error"),
    ],
)
def test_an_answer_of_the_store_has_its_result(status: int, code: str, result: str) -> None:
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    trouble = classify("PutObject", boto.ClientError(answer, "PutObject"))
    assert trouble is not None
    assert result_of(trouble) == result
    assert result in S3_RESULTS


def test_no_answer_is_a_result_too() -> None:
    for failure in (TimeoutError(), ConnectionResetError()):
        trouble = classify("PutObject", failure)
        assert trouble is not None
        assert result_of(trouble) == "no_answer"


def test_workers_are_summed_and_one_that_is_gone_leaves_what_it_counted_and_has_nothing() -> None:
    memory = create_shared_file(ROWS, 3)
    first, second = (Metrics(SharedCounters.shared(memory, 3, column)) for column in range(2))
    reader = Metrics(SharedCounters.shared(memory, 3, 2), workers=2)
    for each in (first, second):
        each.add(metric_catalogue.CONNECTIONS.row(), 2)
        each.add(metric_catalogue.CONNECTIONS_TOTAL.row("accepted"), 5)
        each.set(metric_catalogue.EVENT_LOOP_LAG.row(), 250_000)
        each.took(
            metric_catalogue.OPERATION_DURATION.row("open", "ok"), metric_catalogue.OPERATION_DURATION, 0.2
        )
    reader.add(metric_catalogue.CONNECTIONS_TOTAL.row("refused"), 3)
    before = of(reader)
    assert (before("connections"), before("connections_total", result="accepted")) == (4, 10)
    assert before("connections_total", result="refused") == 3
    assert before("event_loop_lag_seconds", worker="2") == 0.25
    reader.worker_is_gone(1)
    after = of(reader)
    assert (after("connections"), after("event_loop_lag_seconds", worker="2")) == (2, 0)
    assert after("event_loop_lag_seconds", worker="1") == 0.25
    assert after.fallen_since(before) == []
    assert after("operation_duration_seconds_count", operation="open") == 2


def test_a_duration_is_in_its_bucket_and_all_larger_ones_and_in_the_sum() -> None:
    metrics, instrument = Metrics(), metric_catalogue.OPERATION_DURATION
    for seconds in (0.0, 0.001, 0.0011, 7.0, 1000.0):
        metrics.took(instrument.row("close", "ok"), instrument, seconds)
    said = of(metrics)
    buckets = {
        bound: said("operation_duration_seconds_bucket", operation="close", le=bound)
        for bound in ("0.001", "0.005", "5.0", "10.0", "120.0", "+Inf")
    }
    assert buckets == {"0.001": 2, "0.005": 3, "5.0": 3, "10.0": 4, "120.0": 4, "+Inf": 5}
    assert said("operation_duration_seconds_sum", operation="close") == pytest.approx(1007.0021)
    assert said("operation_duration_seconds_count", operation="write") == 0


def test_requests_have_their_price_and_those_that_the_store_failed_are_free() -> None:
    metrics = Metrics()
    for api, result, count in (
        ("PutObject", "ok", 1000),
        ("GetObject", "client_error", 1000),
        ("DeleteObject", "ok", 1000),
        ("PutObject", "throttled", 1000),
        ("PutObject", "server_error", 1000),
    ):
        metrics.add(metric_catalogue.S3_REQUESTS.row(api, result), count)
    assert of(metrics)("s3_cost_dollars_total") == pytest.approx(0.0054)


def test_requests_and_their_cost_are_told_apart_by_storage_and_add_up() -> None:
    names = ("", "archive", "partner")
    metrics = Metrics(storages=names)
    for name, count in zip(names, (1000, 2000, 4000), strict=True):
        counted = S3RequestMetrics(metrics, name)
        for at in range(count // 1000):
            counted.ended("PutObject", None, retry=at > 0)
        metrics.add(
            metric_catalogue.S3_REQUESTS.row("PutObject", "ok", storage=metrics.number_of(name)), count
        )
        metrics.add(metric_catalogue.S3_THROTTLES.row(storage=metrics.number_of(name)), count)
    said = of(metrics)
    assert [said("s3_requests_total", storage=name) for name in ("_s3", "archive", "partner")] == [
        *(1001, 2002, 4004),
    ]
    assert [said("s3_retries_total", storage=name) for name in ("_s3", "archive", "partner")] == [0, 1, 3]
    assert said("s3_throttles_total", storage="partner") == 4000
    assert said("s3_cost_dollars_total", storage="archive") == pytest.approx(0.01001)
    assert said("s3_cost_dollars_total") == pytest.approx(0.035035)


def test_storages_that_are_too_many_are_counted_together() -> None:
    names = ("", *(f"s{number}" for number in range(50)))
    metrics = Metrics(storages=names)
    for name in names:
        S3RequestMetrics(metrics, name).ended("PutObject", None, retry=False)
    said = of(metrics)
    retries = [labels for metric, labels in said.samples if metric == "s3sftp_s3_retries_total"]
    found = {dict(labels)["storage"] for labels in retries}
    assert found == {"_s3", *(f"s{number}" for number in range(30)), "_others"}
    assert said("s3_requests_total", storage="s29") == 1
    assert said("s3_requests_total", storage="_others") == 20
    assert said("s3_requests_total") == 51


def test_what_is_observed_is_asked_for_when_it_is_read() -> None:
    metrics, ready = Metrics(), [False]
    metrics.observe(metric_catalogue.READY, lambda: ready[0])
    assert of(metrics)("ready") == 0
    ready[0] = True
    assert of(metrics)("ready") == 1


def test_kinds_are_what_prometheus_takes_them_for() -> None:
    said = of(Metrics())
    for each in CATALOGUE:
        suffix = "_count" if each.kind is InstrumentKind.HISTOGRAM else ""
        assert said.kinds[each.full_name + suffix] == each.kind.value


def test_the_longest_delay_is_seen_for_one_to_two_windows() -> None:
    largest = WindowMaximum(15.0)
    assert largest.see(0.1, 100.0) == 0.1
    assert largest.see(3.0, 114.0) == 3.0
    assert largest.see(0.0, 116.0) == 3.0
    assert largest.see(0.2, 129.0) == 3.0
    assert largest.see(0.0, 132.0) == 0.2
    assert largest.see(0.0, 200.0) == 0.0

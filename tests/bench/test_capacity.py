"""The model of docs/scale.md: its requests are those that are published and measured, its sums are right."""

from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bench.capacity import requests as s3
from bench.capacity.check import comparisons
from bench.capacity.coefficients import coefficients, newest
from bench.capacity.demand import MIB, WORKER_BUFFER_BYTES, Demand, Machine
from bench.capacity.requirements import (
    GIB,
    MAX_CONNECTIONS,
    SMALL_BYTES,
    SPARE_BYTES,
    needs,
    processors_busy,
    requests_per_second,
)
from bench.records import Results, Sample, load
from bench.sizes import FULL
from s3sftp.app import worker_options
from s3sftp.backends.s3.options import S3Options
from s3sftp.fs.options import FileOptions
from s3sftp.ssh.options import SshOptions
from s3sftp.telemetry.costs import dollars
from tests.limits.operations import OPERATIONS
from tests.limits.operations import RANGE_BYTES as TABLE_RANGE_BYTES
from tests.support.server import PART_BYTES as TABLE_PART_BYTES

ROOT = Path(__file__).parents[2]
TABLE = {operation.name: operation.budget for operation in OPERATIONS}
RESULTS = sorted((ROOT / "bench" / "results").glob("*.json"))


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("put of 0 bytes", s3.put(0, TABLE_PART_BYTES)),
        ("put of 100 bytes", s3.put(100, TABLE_PART_BYTES)),
        ("put of exactly one part", s3.put(TABLE_PART_BYTES, TABLE_PART_BYTES)),
        ("put of 2½ parts", s3.put(TABLE_PART_BYTES * 5 // 2, TABLE_PART_BYTES)),
        ("get of 100 bytes", s3.get(100, TABLE_RANGE_BYTES)),
        ("get of 20 MiB", s3.get(20 * MIB, TABLE_RANGE_BYTES)),
        ("get after ls", s3.get(1, TABLE_RANGE_BYTES, known=True)),
        ("STAT of a file", s3.stat(exists=True)),
        ("STAT of nothing", s3.stat(exists=False)),
        ("ls -l of 2 500 files", s3.listing(2500)),
        ("rename (POSIX) of a file", s3.rename()),
    ],
)
def test_an_operation_asks_for_what_the_published_table_of_costs_says(
    operation: str, expected: Counter[str]
) -> None:
    assert expected == TABLE[operation]


@pytest.mark.parametrize("file", RESULTS, ids=lambda file: file.name)
@pytest.mark.parametrize("work", ["get", "put"])
def test_a_large_file_asks_for_what_was_measured_with_openssh(file: Path, work: str) -> None:
    results = load(file)
    samples = results.of(work, "plain", "s3sftp")
    if not samples or results.about["options"]:
        pytest.skip(f"{file.name} has no {work} with defaults")
    size = samples[0].bytes
    # sftp looks first what the name is
    moved = s3.get(size, known=True) if work == "get" else s3.put(size)
    expected = moved + s3.stat(exists=work == "get")
    usual = Counter(tuple(sorted(sample.requests.items())) for sample in samples).most_common(1)[0][0]
    assert dict(usual) == expected


def test_parts_grow_so_that_the_largest_file_has_no_more_than_ten_thousand() -> None:
    assert 9_900 < s3.parts(5 << 40, s3.PART_BYTES) <= 10_000
    assert s3.parts(1000 * s3.PART_BYTES, s3.PART_BYTES) == 1000


def test_the_model_assumes_the_defaults_of_the_server() -> None:
    assert S3Options.model_fields["part_bytes"].default == s3.PART_BYTES
    assert FileOptions.model_fields["range_bytes"].default == s3.RANGE_BYTES
    assert FileOptions.model_fields["buffer_bytes"].default == Machine().buffer_bytes
    assert SshOptions.model_fields["max_connections"].default == MAX_CONNECTIONS
    assert worker_options.MIN_BUFFER_BYTES == WORKER_BUFFER_BYTES
    assert FULL.file == SMALL_BYTES


def test_requests_that_s3_limits_as_writes_are_puts_copies_posts_and_deletes() -> None:
    assert s3.writes(s3.put(100 * MIB)) == 15
    assert s3.writes(s3.rename()) == 2
    assert (s3.writes(s3.get(100)), s3.writes(s3.listing(5000))) == (0, 0)
    assert s3.reads(s3.rename()) == 1
    assert s3.reads(s3.get(20 * MIB)) == 4


def _demand(**changes: object) -> Demand:
    some = {"partners": 86_400, "files_per_day": 1.0, "mean_bytes": 10_000, "share_up": 1.0}
    nothing_else = {"listings_per_hour": 0.0, "logins_per_day": 0.0, "stat_before_put": False}
    return Demand(**{**some, **nothing_else, **changes})  # type: ignore[arg-type]


def _results(*samples: Sample) -> Results:
    return Results({"options": {}}, list(samples))


def _measured(folder: Path, *more: Sample) -> Path:
    file = folder / "2026-01-31.json"
    samples = [
        Sample("put", "plain", "s3sftp", 0, seconds=1, bytes=GIB, files=1, cpu_seconds=6.0),
        Sample("get", "plain", "s3sftp", 0, seconds=1, bytes=GIB, files=1, cpu_seconds=4.0),
        Sample("small-put", "plain", "s3sftp", 0, seconds=1, bytes=10**7, files=1000, cpu_seconds=2.0),
        Sample("small-get", "plain", "s3sftp", 0, seconds=1, bytes=10**7, files=1000, cpu_seconds=1.0),
    ]
    _results(*samples, *more).save(file)
    return file


def test_what_a_file_of_results_has_is_taken_from_it_and_the_rest_says_how_to_measure_it(
    tmp_path: Path,
) -> None:
    costs = coefficients(_measured(tmp_path))
    assert (costs.put_gib.value, costs.get_gib.value) == (6.0, 4.0)
    assert (costs.put_file.value, costs.get_file.value) == pytest.approx((0.002, 0.001))
    assert costs.put_file.source == "2026-01-31.json: small-put"
    assert costs.name.measured is False
    assert costs.name.source == "python -m bench --only list --peers s3sftp --settings plain"


def test_what_is_not_known_of_the_newest_results_does_not_stop_the_model() -> None:
    assert newest() in RESULTS
    assert all(each.value > 0 for each in vars(coefficients(None)).values())


def test_one_small_file_a_second_needs_one_put_a_second_and_its_cpu_time(tmp_path: Path) -> None:
    asked = {api: rate for api, rate in requests_per_second(_demand()).items() if rate}
    assert asked == pytest.approx({"PutObject": 1.0})
    assert processors_busy(_demand(), coefficients(_measured(tmp_path))) == pytest.approx(0.002)


def test_further_bytes_cost_what_a_stream_does(tmp_path: Path) -> None:
    demand = _demand(mean_bytes=SMALL_BYTES + GIB, share_up=0.0)
    assert processors_busy(demand, coefficients(_measured(tmp_path))) == pytest.approx(0.001 + 4.0)


def test_listings_and_logins_cost_too(tmp_path: Path) -> None:
    costs = coefficients(_measured(tmp_path))
    idle = _demand(files_per_day=0.0, logins_per_day=1.0, listings_per_hour=1 / 24, names_per_listing=2000)
    assert processors_busy(idle, costs) == pytest.approx(costs.login.value + 2000 * costs.name.value)
    assert requests_per_second(idle)["ListObjectsV2"] == pytest.approx(2.0)


def test_money_is_what_the_requests_of_a_month_and_the_replicas_cost(tmp_path: Path) -> None:
    machine = Machine(processors=4, spare=1, dollars_per_vcpu_hour=0.05)
    found = needs(_demand(stat_before_put=True), coefficients(_measured(tmp_path)), machine)
    each = s3.put(SMALL_BYTES) + s3.stat(exists=False)
    assert found.request_dollars == pytest.approx(dollars(each) * 730 * 3600)
    assert found.compute_dollars == pytest.approx(found.replicas * 4 * 0.05 * 730)


def test_replicas_carry_the_peak_without_the_spare_ones(tmp_path: Path) -> None:
    costs = coefficients(_measured(tmp_path))
    demand = _demand(files_per_day=1000.0, peak_factor=3.0, connected_share=0.0)
    found = needs(demand, costs, Machine(processors=2, utilization=0.5, spare=2))
    assert found.peak_processors == pytest.approx(6.0)
    assert found.replicas == math.ceil(6.0 / (2 * 0.5)) + 2


def test_replicas_suffice_for_the_connections_too(tmp_path: Path) -> None:
    found = needs(_demand(connected_share=0.1), coefficients(_measured(tmp_path)), Machine(spare=0))
    assert found.replicas == math.ceil(8640 / MAX_CONNECTIONS)


def test_memory_is_processes_budget_and_connections(tmp_path: Path) -> None:
    costs = coefficients(_measured(tmp_path))
    few, many = (
        needs(_demand(partners=n, connected_share=1.0, busy_share=0.5), costs, Machine(spare=0))
        for n in (100, 200)
    )
    assert many.memory_bytes - few.memory_bytes == pytest.approx(
        100 * costs.connection_bytes.value + 50 * costs.session_bytes.value
    )
    alone = needs(_demand(partners=0), costs, Machine(processors=1, spare=0))
    spare = SPARE_BYTES * Machine(processors=1).processors
    assert alone.memory_bytes == costs.worker_bytes.value + Machine().buffer_bytes + spare


@pytest.mark.parametrize(("files", "partitions"), [(3500, 1), (3501, 2), (7001, 3)])
def test_partitions_are_what_the_peak_needs(tmp_path: Path, files: int, partitions: int) -> None:
    demand = _demand(files_per_day=float(files), peak_factor=1.0)
    assert needs(demand, coefficients(_measured(tmp_path)), Machine()).partitions == partitions


def test_the_model_is_compared_with_the_mixed_sets_that_it_knows_nothing_of(tmp_path: Path) -> None:
    mixed = Sample("mixed-put", "plain", "s3sftp", 0, seconds=1, bytes=GIB, files=600, cpu_seconds=6.0)
    file = _measured(tmp_path, mixed)
    (found,) = comparisons(load(file), coefficients(file))
    assert found.expected == pytest.approx(600 * 0.002 + 6.0, rel=0.01)
    assert found.ratio == pytest.approx(1.2, rel=0.01)


@pytest.mark.parametrize("file", RESULTS, ids=lambda file: file.name)
def test_measured_mixed_sets_are_within_a_factor_of_two_of_the_model(file: Path) -> None:
    results = load(file)
    found = list(comparisons(results, coefficients(file)))
    if not found:
        pytest.skip(f"{file.name} has no mixed sets")
    assert all(0.5 < each.ratio < 2.0 for each in found), found


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"share_up": 1.5}, "share_up is a share"),
        ({"partners": -1}, "partners is negative"),
        ({"peak_factor": 0.5}, "peak_factor is at least 1"),
    ],
)
def test_a_demand_that_cannot_be_is_refused_by_name(words: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        _demand(**words)


def test_more_workers_than_the_byte_budget_allows_are_refused() -> None:
    with pytest.raises(ValueError, match="buffer_bytes is at least 512MiB for 16 workers"):
        Machine(processors=16)


def test_the_command_of_the_docs_runs() -> None:
    text = (ROOT / "docs" / "scale.md").read_text("utf-8")
    command = next(line for line in text.splitlines() if line.startswith("$ python -m bench.capacity"))
    done = subprocess.run(
        [sys.executable, *command.split()[2:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Replicas" in done.stdout
    assert "to be checked" in done.stdout


def test_a_wrong_word_is_told_by_name_and_exits_with_2() -> None:
    words = ["--partners", "1", "--files-per-day", "1", "--mean-bytes", "1", "--share-up", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "bench.capacity", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "share_up is a share" in done.stderr

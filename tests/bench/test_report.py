"""What the report makes of samples: pure, and the same each time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.records import Results, Sample, load
from bench.report.figures import CPU_PER_GIB, SECONDS, THROUGHPUT
from bench.report.goals import Goal, Point, goals, goals_table
from bench.report.page import page
from bench.report.plots import drawn
from bench.report.tables import ciphers, ratios, work_table
from s3sftp.telemetry.costs import dollars

MIB = 1 << 20
GIB = 1 << 30
ROOT = Path(__file__).parents[2]


def results(*samples: Sample) -> Results:
    about = {
        "date": "2026-01-31 12:00 UTC",
        "command": "python -m bench",
        "quick": False,
        "machine": {"cores": 2, "processor": "P", "memory_gib": 8, "system": "Linux 6.1"},
        "versions": {"Python": "3.11"},
        "options": {},
        "works": {"get": "get of 1 GiB", "put": "put of 1 GiB"},
        "peers": {"s3sftp": "ours", "rclone": "theirs", "openssh": "the limit"},
    }
    return Results(about, list(samples))


def sample(peer: str, seconds: float, run: int = 0, **more: object) -> Sample:
    values = {"work": "get", "setting": "plain", "bytes": GIB, "cpu_seconds": seconds / 2, **more}
    return Sample(peer=peer, seconds=seconds, run=run, **values)  # type: ignore[arg-type]


THREE = (sample("s3sftp", 1.0), sample("s3sftp", 9.0, 1), sample("s3sftp", 2.0, 2))


def test_a_figure_is_the_median_with_its_extremes() -> None:
    spread = SECONDS.spread(results(*THREE), "get", "plain", "s3sftp")
    assert spread is not None
    assert (spread.median, spread.least, spread.most, spread.runs) == (2.0, 1.0, 9.0, 3)


def test_runs_that_failed_do_not_count_and_are_told() -> None:
    failed = Sample("get", "plain", "s3sftp", 3, failure="it hung")
    found = results(*THREE, failed)
    assert SECONDS.median(found, "get", "plain", "s3sftp") == 2.0
    assert "3, 1 failed" in work_table(found, "get", "plain")
    assert "it hung" in page(found, "x.json")


def test_a_peer_that_got_bytes_wrong_has_no_numbers_at_all_for_that_work() -> None:
    wrong = Sample("get", "shaped", "s3sftp", 3, failure="the bytes", wrong=True)
    found = results(*THREE, wrong, sample("s3sftp", 1.0, work="put"))
    assert SECONDS.median(found, "get", "plain", "s3sftp") is None
    assert SECONDS.median(found, "put", "plain", "s3sftp") == 1.0


def test_ratios_are_to_the_fastest_and_to_rclone() -> None:
    found = results(sample("s3sftp", 2.0), sample("rclone", 4.0), sample("openssh", 1.0))
    assert ratios(found, "get", "plain", "s3sftp") == (0.5, 2.0)


def test_a_server_that_says_ok_too_early_is_marked_and_is_not_the_best() -> None:
    early = sample("rclone", 0.5, values={"stored_late_seconds": 3.0})
    found = results(sample("s3sftp", 2.0), early, sample("openssh", 1.0))
    assert ratios(found, "get", "plain", "s3sftp") == (0.5, 0.25)
    assert "rclone †" in drawn(found)["throughput"]


def test_requests_have_their_list_price() -> None:
    assert dollars({"PutObject": 1000, "GetObject": 1000, "DeleteObject": 5}) == pytest.approx(0.0054)
    assert dollars({"UploadPart": 1000}) == dollars({"SomethingNew": 1000}) == pytest.approx(0.005)


@pytest.mark.parametrize(("ours", "verdict"), [(0.6, "**met**"), (0.61, "not met")])
def test_a_goal_is_met_up_to_its_bound(ours: float, verdict: str) -> None:
    goal = next(goals())
    assert goal.bound == 0.6
    found = results(sample("s3sftp", ours), sample("rclone", 1.0))
    assert goal.verdict(found)[1] == verdict


def test_a_goal_that_wants_more_is_met_from_its_bound_on() -> None:
    goal = Goal("faster", _point("s3sftp"), _point("rclone"), 2.0, at_least=True)
    assert goal.verdict(results(sample("s3sftp", 1.0), sample("rclone", 2.0)))[1] == "**met**"
    assert goal.verdict(results(sample("s3sftp", 1.1), sample("rclone", 2.0)))[1] == "not met"


def _point(peer: str) -> Point:
    return Point(THROUGHPUT, "get", "plain", peer)


def test_a_goal_without_measurement_says_so() -> None:
    assert "not measured" in goals_table(results())
    assert "met**" not in goals_table(results())


def test_results_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    found = results(
        *THREE, sample("rclone", 1.5, requests={"GetObject": 1}, values={"first_names_seconds": 0.5})
    )
    found.save(tmp_path / "r.json")
    assert load(tmp_path / "r.json") == found


def test_where_requests_cannot_be_counted_connections_and_bytes_stand_in_the_table() -> None:
    over_tls = sample("s3sftp", 1.0, setting="tls", connections=7, sent=3 << 20, received=5 << 20)
    found = results(over_tls, sample("rclone", 1.0, requests={"GetObject": 9}, connections=3, sent=1))
    table = work_table(found, "get", "tls")
    assert "| S3 connections | MiB to S3 | MiB from S3 |" in table
    assert "| 7 | 3 | 5 |" in table
    assert "S3 requests" not in table
    assert "connections" not in work_table(found, "get", "plain"), "where they can, requests do"
    assert "connections and bytes are counted, requests are not" in page(found, "x.json")


def test_the_ciphers_that_clients_ended_with_are_told() -> None:
    ours = sample("s3sftp", 1.0, cipher="aes128-ctr hmac-sha2-256-etm@openssh.com")
    found = results(ours, sample("rclone", 1.0, cipher="g"), sample("openssh", 1.0, cipher="g"))
    told = ciphers(found, "get", "plain")
    assert told == (
        "Client and server agreed on `aes128-ctr` and `hmac-sha2-256-etm@openssh.com` with s3sftp;"
        " `g` with rclone, openssh."
    )
    assert told in page(found, "x.json")
    assert ciphers(results(*THREE), "get", "plain") == ""


def test_ciphers_are_held_against_gcm_by_name() -> None:
    found = results(*(sample("s3sftp", 1.0, work=f"get{of}") for of in ("-gcm", "")))
    slow = sample("s3sftp", 1.3, work="get-ctr")
    rows = goals_table(Results(found.about, [*found.samples, slow])).splitlines()
    own, ctr, ctr256 = (row for row in rows if row.startswith("| get, CPU") and "by `aes128-gcm`" in row)
    assert "own choice" in own
    assert "**met**" in own
    assert "not met" in ctr
    assert "not measured" in ctr256


@pytest.mark.parametrize(("mib", "verdict"), [(506, "**met**"), (507, "not met")])
def test_memory_of_uploads_is_held_against_the_budget_and_250_mib(mib: int, verdict: str) -> None:
    taken = Sample("memory-uploads", "plain", "s3sftp-many", 0, 9.0, values={"pss_bytes": mib * MIB})
    (row,) = (row for row in goals_table(results(taken)).splitlines() if "side by side" in row)
    assert f"{mib} PSS MiB | {verdict} |" in row


def test_rows_without_a_speed_have_no_ratios() -> None:
    idle = Sample("memory-idle", "plain", "s3sftp", 0, values={"pss_bytes": 110 * MIB})
    assert work_table(results(idle), "memory-idle", "plain").splitlines() == [
        "| peer | PSS MiB | runs |",
        "|---|---|---|",
        "| s3sftp | 110 | 1 |",
    ]


def test_small_puts_have_a_most_of_requests() -> None:
    four = Sample("small-put", "plain", "s3sftp", 0, 1.0, files=10, requests={"PutObject": 40})
    five = Sample("small-put", "plain", "s3sftp", 0, 1.0, files=10, requests={"PutObject": 41})
    for put, verdict in (
        (four, "4.00 S3 requests/file | **met**"),
        (five, "4.10 S3 requests/file | not met"),
    ):
        assert verdict in goals_table(results(put))


def test_the_same_results_make_the_same_page_and_plots() -> None:
    found = results(*THREE, sample("rclone", 1.5))
    assert page(found, "x.json") == page(found, "x.json")
    pictures = drawn(found)
    assert {"throughput", "cpu"} <= set(pictures)
    assert pictures == drawn(found)


def test_a_bar_is_as_long_as_its_number() -> None:
    picture = drawn(results(sample("s3sftp", 1.0), sample("rclone", 2.0)))["throughput"]
    ours, theirs = (float(width) for width in re.findall(r'width="([\d.]+)" height="18"', picture))
    assert ours == pytest.approx(2 * theirs, rel=0.01)


def test_cpu_is_by_the_gibibyte() -> None:
    assert CPU_PER_GIB.of(sample("s3sftp", 3.0, bytes=GIB // 2)) == 3.0


def test_the_page_of_the_docs_is_what_its_results_say() -> None:
    written = ROOT / "docs" / "performance.md"
    if not written.exists():
        pytest.skip("no performance.md yet: it is made from a full run")
    named = re.search(r"\(\.\./bench/results/([\w.-]+)\)", written.read_text("utf-8"))
    assert named is not None
    found = load(ROOT / "bench" / "results" / named[1])
    assert written.read_text("utf-8") == page(found, named[1])
    folder = ROOT / "docs" / "performance"
    assert {file.stem: file.read_text("utf-8") for file in folder.glob("*.svg")} == drawn(found)

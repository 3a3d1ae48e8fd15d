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
from bench.report.tables import ratios, work_table
from s3sftp.telemetry.costs import dollars

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

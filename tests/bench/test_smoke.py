"""The command runs from end to end: a small work on s3sftp and rclone, and a page of it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.records import Sample, load

ROOT = Path(__file__).parents[2]


def _python(*words: str, timeout: float = 120, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *words]
    environment = {**os.environ, **variables}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.fixture
def scratch() -> Iterator[str]:
    """A directory whose name leaves room: paths of Unix sockets end at 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        yield directory


def test_one_command_measures_every_peer_and_another_makes_the_page(tmp_path: Path, scratch: str) -> None:
    file = tmp_path / "results.json"
    sizes = "stream=2MiB,files=20,file=1000"
    what = ("--only", "put,list", "--peers", "s3sftp,rclone", "--settings", "plain", "--runs", "1")
    done = _python("bench", *what, "--sizes", sizes, "--into", str(file), "--scratch", scratch)
    assert done.returncode == 0, done.stderr
    results = load(file)
    assert [(s.work, s.peer) for s in results.samples] == [
        ("put", "s3sftp"),
        ("put", "rclone"),
        ("list", "s3sftp"),
        ("list", "rclone"),
    ]
    for sample in results.samples:
        assert sample.seconds > 0
        assert sample.peak_memory > 10 << 20
        assert sample.requests
    assert results.samples[0].requests["PutObject"] == 1
    assert results.samples[0].cipher == "aes128-gcm@openssh.com"
    assert results.samples[0].bytes == 2 << 20

    assert _python("bench.report", "--docs", str(tmp_path), str(file)).returncode == 0
    page = (tmp_path / "performance.md").read_text("utf-8")
    assert "### put, plain" in page
    assert (tmp_path / "performance" / "throughput.svg").exists()
    assert str(tmp_path) not in page


def test_a_server_that_does_not_start_is_a_failure_and_not_the_end(tmp_path: Path, scratch: str) -> None:
    file = tmp_path / "results.json"
    what = ("--only", "list", "--peers", "s3sftp,rclone", "--settings", "plain", "--runs", "1")
    small = ("--sizes", "files=5", "--into", str(file), "--scratch", scratch)
    done = _python("bench", *what, *small, S3SFTP_S3__ATTEMPTS="many")
    assert done.returncode == 1, done.stderr
    ours, theirs = load(file).samples
    assert "attempts" in ours.failure
    assert str(tmp_path) not in ours.failure
    assert not theirs.failure


def _measured(scratch: str, file: Path, only: str, peers: str, setting: str) -> dict[tuple[str, str], Sample]:
    """The samples of one run of works, by work and peer."""
    sizes = "stream=2MiB,files=20,file=1000,connections=30,busy=3,uploads=6,upload=1MiB"
    what = ("--only", only, "--peers", peers, "--settings", setting, "--runs", "1", "--sizes", sizes)
    done = _python("bench", *what, "--into", str(file), "--scratch", scratch, timeout=600)
    assert done.returncode == 0, done.stderr
    return {(sample.work, sample.peer): sample for sample in load(file).samples}


@pytest.mark.timeout(700)
@pytest.mark.long
def test_clients_choose_their_own_cipher_or_take_the_one_of_the_row(tmp_path: Path, scratch: str) -> None:
    found = _measured(scratch, tmp_path / "r.json", "put,get-ctr", "s3sftp", "plain")
    assert {work: sample.cipher for (work, _), sample in found.items()} == {
        "put": "aes128-gcm@openssh.com",
        "get-ctr": "aes128-ctr hmac-sha2-256-etm@openssh.com",
    }


@pytest.mark.timeout(700)
@pytest.mark.long
def test_servers_talk_to_s3_over_tls(tmp_path: Path, scratch: str) -> None:
    found = _measured(scratch, tmp_path / "r.json", "small-get", "s3sftp,rclone", "tls")
    assert len(found) == 2
    for sample in found.values():
        assert not sample.requests
        assert sample.connections >= 1
        assert sample.received > 20 * 1000


@pytest.mark.timeout(700)
@pytest.mark.long
def test_memory_of_standing_by_and_of_much_at_once_is_measured(tmp_path: Path, scratch: str) -> None:
    works = "memory-idle,memory-connections,memory-busy,memory-uploads"
    found = _measured(scratch, tmp_path / "r.json", works, "s3sftp-many", "plain")
    pss = {work: sample.values["pss_bytes"] for (work, _), sample in found.items()}
    assert ",".join(pss) == works
    assert min(pss.values()) > 10 << 20
    assert pss["memory-connections"] > pss["memory-idle"]


@pytest.mark.timeout(700)
@pytest.mark.long
def test_peers_with_caches_and_uploads_that_are_kept_store_every_file(tmp_path: Path, scratch: str) -> None:
    peers = "s3sftp-resume,rclone-writes-dirs,rclone-full-dirs"
    found = _measured(scratch, tmp_path / "r.json", "small-put", peers, "plain")
    assert len(found) == 3
    assert all(sum(sample.requests.values()) >= 20 for sample in found.values())


@pytest.mark.timeout(900)  # it starts three servers
@pytest.mark.long
def test_what_events_and_the_console_cost_is_a_table(scratch: str) -> None:
    done = _python("bench.seeing_turns", "--quick", "--scratch", scratch, timeout=600)
    assert done.returncode == 0, done.stderr
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("|")][2:]
    assert [row[0] for row in rows] == ["off", "events", "console"]
    requests = {row[0]: float(row[3]) for row in rows}
    assert requests["off"] >= 1
    assert requests["console"] < requests["off"] + 1, "no request for each file"
    assert requests["events"] >= requests["off"] + 1, "an entry of the outbox for each file"

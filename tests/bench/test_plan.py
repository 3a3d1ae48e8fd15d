"""What is measured, in which order, with how much."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.meter import cpu_seconds, peak_resident_bytes, tree
from bench.peers import PEERS, Storage
from bench.runner import plan
from bench.settings import SETTINGS
from bench.sizes import FULL, QUICK, amount, changed
from bench.test_data import BenchFiles
from bench.work import works
from tests.bench.servers import nowhere

WORKS = works(QUICK)
EVERY = list(WORKS.values())


def test_runs_take_turns_between_the_peers_and_another_begins_each_time() -> None:
    steps = list(plan([WORKS["get"]], ["plain"], ["s3sftp", "rclone", "weed"], 2))
    assert [(step.peer, step.run) for step in steps] == [
        ("s3sftp", 0),
        ("rclone", 0),
        ("weed", 0),
        ("rclone", 1),
        ("weed", 1),
        ("s3sftp", 1),
    ]


@pytest.mark.parametrize("setting", ["shaped", "tls"])
def test_only_servers_of_s3_are_measured_at_a_distance_or_over_tls(setting: str) -> None:
    there = {step.peer for step in plan(EVERY, [setting], [], 1)}
    assert there == {name for name, peer in PEERS.items() if peer.storage is Storage.S3}


def test_each_work_is_done_in_the_settings_that_suit_it_unless_others_are_named() -> None:
    done = {
        work: [step.setting for step in plan([WORKS[work]], [], ["s3sftp"], 1)]
        for work in ("get", "list", "get-ctr", "memory-idle", "list-names")
    }
    assert done == {
        "get": ["plain", "shaped", "tls"],
        "list": ["plain", "shaped"],
        "get-ctr": ["plain"],
        "memory-idle": ["plain"],
        "list-names": ["plain"],
    }
    assert [step.setting for step in plan([WORKS["get-ctr"]], ["tls"], ["s3sftp"], 1)] == ["tls"]


def test_small_files_meet_the_peers_with_their_strongest_settings(tmp_path: Path) -> None:
    kept = {"s3sftp-resume"}
    cached = {"rclone-writes", "rclone-writes-dirs", "rclone-full-dirs"}
    assert cached | kept < set(WORKS["small-put"].peers)
    assert cached < set(WORKS["small-get"].peers)
    assert kept < set(WORKS["put"].peers)
    site = nowhere(PEERS["rclone"], tmp_path).site
    words = {name: " ".join(PEERS[name].command(site).words) for name in cached}
    assert all("--vfs-cache-mode writes" in words[name] for name in cached if "writes" in name)
    assert "--vfs-cache-mode full" in words["rclone-full-dirs"]
    assert all(("--dir-cache-time 24h" in words[name]) is name.endswith("-dirs") for name in cached)
    assert PEERS["s3sftp-resume"].command(site).environment["S3SFTP_FILES__RESUME"] == "24 h"


def test_the_works_with_small_files_are_the_first() -> None:
    small = [name for name in WORKS if name.startswith("small")]
    assert list(WORKS)[: len(small)] == small


def test_a_work_says_how_many_files_move_at_once_if_that_is_in_its_name(tmp_path: Path) -> None:
    material = BenchFiles(tmp_path, QUICK)
    assert "--transfers 16`" in WORKS["small-put"].about(material)
    for name in ("small-put-64", "small-get-64"):
        assert "--transfers 64`" in WORKS[name].about(material)


def test_every_work_names_peers_that_exist_and_says_what_it_is(tmp_path: Path) -> None:
    material = BenchFiles(tmp_path, QUICK)
    for work in EVERY:
        assert set(work.peers) <= set(PEERS)
        assert set(work.settings) <= set(SETTINGS)
        assert work.about(material)
        assert not work.seed or material.files(work.seed)


def test_material_is_the_same_each_time(tmp_path: Path) -> None:
    sizes = changed(QUICK, "files=3,file=1000")
    one, two = (BenchFiles(tmp_path / name, sizes).path("small") for name in ("one", "two"))
    assert [file.read_bytes() for file in sorted(one.iterdir())] == [
        file.read_bytes() for file in sorted(two.iterdir())
    ]
    assert {file.stat().st_size for file in one.iterdir()} == {1000}


def test_sizes_can_be_changed_by_name() -> None:
    assert changed(FULL, "stream=64MiB,files=10").stream == 64 << 20
    assert changed(FULL, "") == FULL


@pytest.mark.parametrize("words", ["steam=1", "stream=much", "stream", "files=1X"])
def test_a_size_that_is_not_understood_is_refused(words: str) -> None:
    with pytest.raises(ValueError, match=r"no size|no amount"):
        changed(FULL, words)


def test_amounts_have_binary_units() -> None:
    assert [amount(text) for text in ("10_000", "1K", "2MiB", "1g")] == [10_000, 1024, 2 << 20, 1 << 30]


def test_a_tree_has_the_time_and_memory_of_its_children() -> None:
    burn = "import time; data = bytearray(b'x') * (64 << 20); end = time.process_time() + 0.3\n" + (
        "while time.process_time() < end: pass\n"
    )
    script = (
        f"import subprocess, sys; burn = {burn!r}\n"
        "subprocess.run([sys.executable, '-c', burn])\n"  # has ended: its time is the parent's now
        "child = subprocess.Popen([sys.executable, '-c', burn + 'print(1, flush=True); input()'], stdin=-1)\n"
        "child.wait()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"1\n"
        assert len(tree(process.pid)) == 2
        assert cpu_seconds(process.pid) >= 0.6
        assert peak_resident_bytes(process.pid) >= 64 << 20
    finally:
        for pid in reversed(tree(process.pid)):
            os.kill(pid, 9)
        process.communicate()

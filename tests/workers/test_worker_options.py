"""How many workers there are, and what each of them gets."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import asyncssh
import pytest

from s3sftp.app.handover import dump, load, pack, read_file, to_file, unpack
from s3sftp.app.options import load_options
from s3sftp.app.worker_options import (
    MIN_BUFFER_BYTES,
    default_workers,
    processors,
    worker_count,
    worker_share,
)
from s3sftp.auth import hash_password, read_logins
from s3sftp.errors import ConfigurationError
from s3sftp.fs.write.shared_tables import UserCounts
from s3sftp.runtime.shared_counters import SharedCounters, create_shared_file

KEY = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
FULL = f"""
[listen]
port = 2222
[ssh]
login_grace = "1500 ms"
ciphers = ["aes256-gcm@openssh.com"]
[auth]
password_threads = 5
[s3]
bucket = "files"
prefix = "partners"
secret_access_key = "not to be seen"
access_key_id = "key"
cache_ttl = "250 ms"
metadata = {{ team = "a" }}
max_connections = 100
[service]
socket = "/run/storage/socket"
max_calls = 102
[files]
buffer_bytes = "128 MiB"
spool_dir = "/spool"
[users.alice]
authorized_keys = ['from="10.0.0.0/8,127.0.0.1" {KEY}']
attributes = {{ tenant = "7" }}
directories = ["in", "out"]
[users.bob]
password_hash = "{hash_password("x")}"
prefix = ""
"""


def options(tmp_path: Path, more: str = "", **environ: str):  # type: ignore[no-untyped-def]
    file = tmp_path / "s3sftp.toml"
    file.write_text(FULL + more)
    return load_options(file, environ)


def test_options_reach_a_worker_exactly_as_they_were_read(tmp_path: Path) -> None:
    read = options(tmp_path)
    accounts = read_logins(read.users).accounts
    handed = to_file(pack(read, accounts))
    for _ in range(2):  # a worker that is replaced reads them again
        arrived, users = unpack(read_file(handed))
        assert arrived == read.model_copy(update={"users": {}})
        assert users == accounts
        assert arrived.s3.secret_access_key.get_secret_value() == "not to be seen"  # type: ignore[union-attr]
        assert arrived.ssh.login_grace == timedelta(seconds=1.5)
    os.close(handed)


def test_what_bounds_the_server_is_shared_out(tmp_path: Path) -> None:
    share = worker_share(options(tmp_path), 4)
    assert share.files.buffer_bytes == 32 << 20
    assert share.files.spool_bytes == 256 << 20
    assert share.files.max_check_files == 2
    assert share.s3.max_connections == 25
    assert share.service.max_calls == 25
    assert share.auth.password_threads == 1
    without_users = share.model_copy(update={"users": {}})  # which workers get as accounts
    assert load(dump(without_users)) == without_users
    assert worker_share(options(tmp_path), 1) == options(tmp_path)


def test_there_are_as_many_as_processors_but_not_more_than_the_buffers_are_good_for(tmp_path: Path) -> None:
    allowed = len(os.sched_getaffinity(0))
    assert default_workers(1000 * MIN_BUFFER_BYTES) == min(allowed, processors())
    assert default_workers(MIN_BUFFER_BYTES) == 1
    assert worker_count(options(tmp_path)) == default_workers(128 << 20)
    assert worker_count(options(tmp_path, S3SFTP_SERVER__WORKERS="3")) == 3
    assert worker_count(options(tmp_path, S3SFTP_BACKEND="memory")) == 1


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"S3SFTP_SERVER__WORKERS": "0"}, "server.workers"),
        ({"S3SFTP_SERVER__WORKERS": "many"}, "server.workers"),
        ({"S3SFTP_SERVER__WORKERS": "2", "S3SFTP_BACKEND": "memory"}, "the memory backend"),
        ({"S3SFTP_SERVER__WORKERS": "9"}, "files.buffer_bytes should be at least 144 MiB"),
        ({"S3SFTP_SERVER__WORKER_TIMEOUT": "1 s"}, "server.worker_timeout .*should be 0, or at least 2 s"),
    ],
)
def test_workers_that_cannot_be_are_told(environ: dict[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=words):
        options(tmp_path, **environ)


@pytest.mark.parametrize(
    ("quotas", "expected"),
    [
        ({}, None),
        ({"a/b": "max 100000"}, None),
        ({"a/b": "100000 100000"}, 1),
        ({"a/b": "150000 100000"}, 1),
        ({"a/b": "50000 100000"}, 1),
        ({"a": "100000 100000", "a/b": "max 100000"}, 1),
        ({"": "nonsense", "a": "10000000 100000"}, None),
    ],
)
def test_the_quota_of_the_container_counts(
    quotas: dict[str, str], expected: int | None, tmp_path: Path
) -> None:
    cgroups, membership = tmp_path / "cgroup", tmp_path / "membership"
    (cgroups / "a/b").mkdir(parents=True)
    membership.write_text("12:cpu:/elsewhere\n0::/a/b\n")
    for group, quota in quotas.items():
        (cgroups / group / "cpu.max").write_text(f"{quota}\n")
    allowed = len(os.sched_getaffinity(0))
    assert processors(cgroups, membership) == (expected or allowed)


def test_users_are_counted_over_all_workers_and_hardly_ever_for_one_another() -> None:
    descriptor = create_shared_file(4096, 2)
    one, two = (UserCounts(SharedCounters.shared(descriptor, 2, column)) for column in range(2))
    for number in range(200):
        (one, two)[number % 2].add(f"user-{number}", 1)
    two.add("user-0", 1)
    os.close(descriptor)
    counts = [one.count(f"user-{number}") for number in range(200)]
    assert counts[0] == two.count("user-0") == 2
    assert sum(counts) <= 203
    assert one.count("nobody") == 0

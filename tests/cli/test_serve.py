"""`s3sftp serve`: from flags to files, and to a clean end."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import asyncssh
import pytest

from testbed.processes import accepts, free_port
from testbed.s3_store import Store
from tests.cli.command_process import (
    Running,
    batch,
    clean_environment,
    running,
    s3sftp,
    serving_from_memory,
    sftp_command,
    toml,
    wait_until,
    write_key_pair,
)
from tests.cli.mounted_secret import Partners
from tests.support.s3_client import S3


def stop(server: Running, number: signal.Signals = signal.SIGTERM, timeout: float = 20) -> int:
    server.process.send(number)
    return server.process.wait(timeout)


def test_flags_alone_are_enough_to_serve_a_bucket(store: Store, bucket: str, s3: S3, tmp_path: Path) -> None:
    write_key_pair(tmp_path / "key")
    arguments = [
        *("serve", f"s3://{bucket}/drop", "--endpoint-url", store.endpoint_url),
        *("--user", "alice", "--authorized-keys", str(tmp_path / "key.pub")),
        *("--host", "127.0.0.1", "--port", "0", "--state-dir", str(tmp_path / "state")),
    ]
    environ = {"AWS_ACCESS_KEY_ID": store.access_key, "AWS_SECRET_ACCESS_KEY": store.secret_key}
    (tmp_path / "report").write_text("quarterly")
    with running(*arguments, directory=tmp_path, **environ, S3SFTP_S3__ADDRESSING="path") as server:
        done = batch(sftp_command(server.port, tmp_path / "key"), f"put {tmp_path}/report r\nls -l\n")
        assert done.returncode == 0, done.stderr
        assert stop(server) == 0
    found = store.blocking_client.get_object(Bucket=bucket, Key="drop/r")
    assert found["Body"].read() == b"quarterly"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_0_when_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    with serving_from_memory(tmp_path) as server:
        began = time.monotonic()
        assert stop(server, number) == 0
        assert time.monotonic() - began < 20
        assert server.events("server.stopped")


def test_the_host_key_is_the_same_after_a_restart(tmp_path: Path) -> None:
    port = str(free_port())
    known_hosts = tmp_path / "known_hosts"
    for _ in range(2):
        with serving_from_memory(tmp_path, "--port", port) as server:
            if not known_hosts.exists():
                shown = s3sftp(
                    "host-key",
                    "show",
                    "--state-dir",
                    str(tmp_path / "state"),
                    "--host",
                    "127.0.0.1",
                    "--port",
                    port,
                )
                known_hosts.write_text(
                    shown.stdout.splitlines()[-1].removeprefix("known_hosts").strip() + "\n"
                )
            done = batch(sftp_command(server.port, tmp_path / "key", known_hosts=str(known_hosts)), "pwd\n")
            assert done.returncode == 0, done.stderr


async def _open_upload(port: int, key: Path) -> tuple[asyncssh.SSHClientConnection, asyncssh.SFTPClientFile]:
    connection = await asyncssh.connect(
        "127.0.0.1", port, username="alice", client_keys=[str(key)], known_hosts=None, config=None
    )
    sftp = await connection.start_sftp_client()
    file = await sftp.open("/upload", "wb")
    await file.write(b"first, ")
    return connection, file


async def test_a_running_upload_may_finish_before_the_end(tmp_path: Path) -> None:
    with serving_from_memory(tmp_path) as server:
        connection, file = await _open_upload(server.port, tmp_path / "key")
        server.process.send(signal.SIGTERM)
        await asyncio.to_thread(server.wait_event, "server.stopping")
        await file.write(b"last")
        await file.close()
        assert await asyncio.to_thread(server.process.wait, 20) == 0
        (transfer,) = server.events("upload.committed")
        assert transfer["bytes"] == 11
        connection.abort()


async def test_an_upload_that_does_not_finish_is_cut_off_at_the_limit(tmp_path: Path) -> None:
    with serving_from_memory(tmp_path, S3SFTP_SERVER__DRAIN_TIMEOUT="300 ms") as server:
        connection, _ = await _open_upload(server.port, tmp_path / "key")
        server.process.send(signal.SIGTERM)
        assert await asyncio.to_thread(server.process.wait, 20) == 0
        assert server.events("transfers.cut_off")
        assert not server.events("upload.committed")
        connection.abort()


async def test_a_second_signal_does_not_wait_for_the_limit(tmp_path: Path) -> None:
    with serving_from_memory(tmp_path) as server:
        connection, _ = await _open_upload(server.port, tmp_path / "key")
        server.process.send(signal.SIGTERM)
        await asyncio.to_thread(server.wait_event, "server.stopping")
        server.process.send(signal.SIGTERM)
        assert await asyncio.to_thread(server.process.wait, 15) == 0
        connection.abort()


def test_wrong_configuration_tells_every_problem_and_exits_with_2(tmp_path: Path) -> None:
    file = tmp_path / "s3sftp.toml"
    file.write_text(toml({"listen": {"port": "many"}, "log": {"format": "xml"}, "users.bob": {"prefx": "x"}}))
    done = s3sftp("serve", "--config", str(file), "--port", "99999")
    assert done.returncode == 2
    for name in ("listen.port", "log.format", "users.bob.prefx", "did you mean 'prefix'?", "s3.bucket"):
        assert name in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    done = s3sftp("serve", S3SFTP_CONFIG=str(tmp_path / "missing.toml"))
    assert done.returncode == 2
    assert "missing.toml" in done.stderr


@pytest.mark.parametrize("url", ["bucket", "https://bucket", "s3:///prefix", "s3://b?x=y"])
def test_a_bucket_url_that_is_none_is_refused(url: str) -> None:
    done = s3sftp("serve", url)
    assert done.returncode == 2
    assert "s3://BUCKET" in done.stderr


def test_keys_without_a_user_are_a_mistake() -> None:
    done = s3sftp("serve", "s3://bucket", "--authorized-keys", "file")
    assert done.returncode == 2
    assert "--authorized-keys needs --user" in done.stderr


def test_a_port_in_use_is_one_line_and_exit_1(tmp_path: Path) -> None:
    write_key_pair(tmp_path / "key")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = s3sftp(
            *("serve", "--backend", "memory", "--host", "127.0.0.1", "--port", str(port)),
            *(
                "--user",
                "alice",
                "--authorized-keys",
                f"{tmp_path}/key.pub",
                "--state-dir",
                f"{tmp_path}/state",
            ),
        )
    assert done.returncode == 1
    words = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert words == [f"s3sftp: cannot listen on 127.0.0.1:{port}: Address already in use"]


def test_a_damaged_host_key_ends_the_start_by_name(tmp_path: Path) -> None:
    write_key_pair(tmp_path / "key")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "ssh_host_ed25519_key").write_text("damaged")
    done = s3sftp(
        *("serve", "--backend", "memory", "--user", "alice", "--authorized-keys", f"{tmp_path}/key.pub"),
        *("--state-dir", f"{tmp_path}/state", "--port", "0"),
    )
    assert done.returncode == 2
    assert "ssh_host_ed25519_key" in done.stderr
    assert "not replaced" in done.stderr


def _serve_arguments(tmp_path: Path, endpoint_url: str, bucket: str) -> list[str]:
    write_key_pair(tmp_path / "key")
    return [
        *("serve", f"s3://{bucket}", "--endpoint-url", endpoint_url, "--host", "127.0.0.1", "--port", "0"),
        *("--user", "alice", "--authorized-keys", f"{tmp_path}/key.pub", "--state-dir", f"{tmp_path}/state"),
    ]


def test_a_bucket_that_is_missing_or_closed_to_us_ends_the_start_in_one_line(
    store: Store, tmp_path: Path
) -> None:
    arguments = _serve_arguments(tmp_path, store.endpoint_url, "no-such-bucket")
    environ = {"S3SFTP_S3__ADDRESSING": "path", "AWS_ACCESS_KEY_ID": store.access_key}
    missing = s3sftp(*arguments, **environ, AWS_SECRET_ACCESS_KEY=store.secret_key)
    refused = s3sftp(*arguments, **environ, AWS_SECRET_ACCESS_KEY="not the secret")
    for done, word in ((missing, "NoSuchBucket"), (refused, "SignatureDoesNotMatch")):
        assert done.returncode == 1
        (line,) = [line for line in done.stderr.splitlines() if not line.startswith("{")]
        assert line.startswith("s3sftp: storage: ")
        assert word in line
        assert store.secret_key not in done.stderr


def test_a_store_that_is_down_is_logged_and_waited_for(tmp_path: Path) -> None:
    arguments = _serve_arguments(tmp_path, f"http://127.0.0.1:{free_port()}", "bucket")
    environ = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "S3SFTP_S3__ATTEMPTS": "2"}
    with running(*arguments, directory=tmp_path, **environ) as server:
        assert server.wait_event("storage.unreachable")["level"] == "error"
        assert server.port
        done = batch(sftp_command(server.port, tmp_path / "key"), "pwd\n")
        assert done.returncode == 0, done.stderr
        assert stop(server) == 0


def test_a_hostile_user_name_stays_one_escaped_line_in_the_log(tmp_path: Path) -> None:
    async def knock(port: int, name: str) -> None:
        with pytest.raises((asyncssh.Error, ConnectionError)):
            await asyncssh.connect(
                "127.0.0.1",
                port,
                username=name,
                password="x",
                known_hosts=None,
                config=None,
                client_keys=None,
            )

    with serving_from_memory(tmp_path, "--log-format", "json") as server:
        for name in ('eve"}', "x" * 900, "a\\nb", "=x y"):
            asyncio.run(knock(server.port, name))
        wait_until(lambda: len(server.events("connection.closed")) == 4, 10, "the log")
        assert all(line.startswith("{") for line in server.process.output().splitlines())
        assert not server.events("login.accepted")


def test_on_sigusr1_it_writes_what_it_waits_for_and_goes_on(tmp_path: Path) -> None:
    with serving_from_memory(tmp_path) as server:
        server.process.send(signal.SIGUSR1)
        server.process.wait_ready(lambda: "in ShutdownRequests.wait" in server.process.output(), 10)
        told = server.process.output()
        assert "tasks:" in told
        assert "Current thread" in told
        done = batch(sftp_command(server.port, tmp_path / "key"), "ls\n")
        assert done.returncode == 0, done.stderr
        assert stop(server) == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_whose_standard_streams_are_closed_serves_and_ends_with_0(
    tmp_path: Path, workers: int
) -> None:
    """Otherwise a socket would get the number of standard error, and its client what is logged."""
    partners = Partners(tmp_path, workers)
    partners.mount("alice")
    port = free_port()
    partners.configure(listen={"port": port})
    server = [sys.executable, "-m", "s3sftp", "serve", "--config", str(partners.config)]
    started = subprocess.Popen(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *server], env=clean_environment())
    try:
        wait_until(lambda: started.poll() is not None or accepts(port), 30, "the port to be open")
        command = sftp_command(port, partners.key("alice"))
        assert "Remote working directory: /" in batch(command, "pwd\n").stdout
        started.terminate()
        assert started.wait(30) == 0
    finally:
        started.kill()

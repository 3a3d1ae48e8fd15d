"""`s3sftp health` says by its exit status what the admin port says."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.cli.command_process import s3sftp


@contextmanager
def admin_port(status: int, body: object) -> Iterator[tuple[int, list[str]]]:
    """An admin port with one answer; which paths were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()
            thread.join()


def test_a_server_that_is_well_is_exit_status_0() -> None:
    with admin_port(200, {"status": "ok", "reasons": []}) as (port, asked):
        for flags in ((), ("--live",)):
            done = s3sftp("health", *flags, S3SFTP_ADMIN__PORT=str(port), S3SFTP_ADMIN__HOST="0.0.0.0")
            assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert asked == ["/readyz", "/livez"]


def test_one_that_is_not_is_exit_status_1_with_each_reason(tmp_path: Path) -> None:
    reasons = [{"name": "draining", "detail": "told to stop"}, {"name": "storage_unreachable"}]
    with admin_port(503, {"status": "not ready", "reasons": reasons}) as (port, _):
        file = tmp_path / "s3sftp.toml"
        file.write_text(f"[admin]\nport = {port}\n")
        done = s3sftp("health", "--config", str(file))
    assert done.returncode == 1
    assert done.stderr == "s3sftp: draining: told to stop\ns3sftp: storage_unreachable\n"


@pytest.mark.parametrize("body", [b"", b"[]", b'{"reasons": 1}', b'{"reasons": ["x"]}', b"\xff" * 100_000])
def test_whatever_the_answer_says_the_status_counts(body: bytes) -> None:
    with admin_port(500, body) as (port, _):
        done = s3sftp("health", "--port", str(port), "--host", "127.0.0.1")
    assert (done.returncode, done.stderr) == (1, "s3sftp: /readyz answered 500\n")


def test_nobody_there_is_exit_status_1() -> None:
    with socket.socket() as bound:  # and does not listen
        bound.bind(("127.0.0.1", 0))
        port = str(bound.getsockname()[1])
        done = s3sftp("health", "--port", port, "--host", "127.0.0.1")
    assert done.returncode == 1
    assert done.stderr.startswith(f"s3sftp: no answer from 127.0.0.1 port {port}: ")


def test_without_an_admin_port_it_says_that_there_is_none_to_ask() -> None:
    done = s3sftp("health")
    assert done.returncode == 1
    assert "admin.port" in done.stderr
    assert "Traceback" not in done.stderr

"""The systemd unit is valid, and leaves the service little to do harm with."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.support.commands import installed

UNIT = Path(__file__).parents[2] / "deploy/systemd/s3sftp.service"
MOST_EXPOSED = 1.5
"""Of 10, as systemd counts. A service without any of it has 9.6."""


def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/s3sftp/bin/s3sftp", sys.executable))
    done = subprocess.run(
        [installed("systemd-analyze"), "verify", "--recursive-errors=no", str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_it_is_exposed_to_is_bounded() -> None:
    done = subprocess.run(
        [installed("systemd-analyze"), "security", "--offline=true", "--no-pager", str(UNIT)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Overall exposure level for s3sftp.service: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= MOST_EXPOSED, done.stdout


def test_it_stops_later_than_the_server_gives_up_and_reloads_by_sighup() -> None:
    from s3sftp.app.options import ServerOptions

    options = ServerOptions.model_validate({"s3": {"bucket": "b"}})
    text = UNIT.read_text()
    seconds = int(re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)[0])
    limits = options.server.drain_timeout + options.sftp.close_timeout
    assert seconds > limits.total_seconds() + 15
    assert "ExecReload=/bin/kill -HUP $MAINPID" in text
    assert "KillMode=mixed" in text

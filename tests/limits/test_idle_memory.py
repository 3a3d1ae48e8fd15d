"""What a server that serves nobody takes of the machine's memory."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.s3_store import Store
from tests.cli.command_process import clean_environment
from tests.support.server import Server

pytestmark = pytest.mark.alone

MIB = 1 << 20


def shared_fairly(pid: int) -> int:
    """PSS: what the process has for itself, and its part of what several have together."""
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("Pss:")) << 10


def with_descendants(pid: int) -> dict[int, str]:
    """A process and all below it, with their command lines."""
    found = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found |= with_descendants(int(child))
    return found


NEEDED_AT_ONCE = ("s3sftp.admin.http_service", "s3sftp.telemetry.exposition", "encodings.idna")
SHOW_WHAT_IS_SHARED = f"""
import runpy, sys
from s3sftp.cli import server_process

def forked(work):
    print([name for name in {NEEDED_AT_ONCE} if name not in sys.modules])
    sys.exit(0)

server_process.fork_template = forked
runpy.run_module("s3sftp", run_name="__main__", alter_sys=True)
"""


def test_what_health_metrics_and_the_endpoint_need_is_imported_before_workers_are_forked(
    seaweed: Store, tmp_path: Path
) -> None:
    options = {"server": {"workers": 2}, "admin": {"port": 0}}
    server = Server(tmp_path / "server", seaweed, "unused", options)
    command = [sys.executable, "-c", SHOW_WHAT_IS_SHARED, "serve", "--config", str(server.config_file)]
    done = subprocess.run(
        command, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


SHOW_WHAT_IS_LEFT = """
import ssl
from pathlib import Path

import asyncssh
import cryptography.hazmat.bindings._rust as library

from s3sftp.cli.malloc_tuning import return_what_is_done_with

def constants():
    kib, counted = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            counted = words[1] == "r--p" and words[-1] == library.__file__ and words[2] == "00000000"
        elif counted and words[0] == "Rss:":
            kib += int(words[1])
    return kib

before = constants()
return_what_is_done_with()
print(before, constants())
asyncssh.generate_private_key("ssh-ed25519")
ssl.create_default_context()
"""


def test_code_and_constants_that_importing_used_are_given_back_and_still_there() -> None:
    command = [sys.executable, "-c", SHOW_WHAT_IS_LEFT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    before, after = map(int, done.stdout.split())
    assert before > 0
    assert after == 0


async def test_with_two_workers_an_idle_server_takes_at_most_122_mib(
    seaweed: Store, bucket: str, tmp_path: Path
) -> None:
    # with the admin port, as the image has it
    options = {"server": {"workers": 2}, "admin": {"port": 0}}
    server = Server(tmp_path / "server", seaweed, bucket, options)
    try:
        await server.astart()
        await server.until(lambda: bool(server.events("server.started")), "all workers to be ready")
        assert server.process is not None
        pid = server.process.pid
        await server.until(lambda: len(with_descendants(pid)) == 3, "the template to rest")
        processes = with_descendants(pid)
        for last in (*(False,) * 20, True):  # what the start needed is given back when there is time
            taken = {pid: shared_fairly(pid) for pid in processes}
            told = ", ".join(f"{pid}: {size / MIB:.1f} MiB" for pid, size in taken.items())
            if sum(taken.values()) <= 122 * MIB:
                break
            assert not last, told
            await asyncio.sleep(0.5)
        print(f"idle with two workers: {sum(taken.values()) / MIB:.1f} MiB of PSS ({told})")
    finally:
        server.close()

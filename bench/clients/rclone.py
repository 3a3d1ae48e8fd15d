"""rclone as the client: many files at once. Also how files get into the bucket, past every server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.clients.programs import Took, run_together
from bench.peers.rclone import s3_remote
from bench.serving import Serving
from testbed.processes import program
from testbed.s3_store import Store

TRANSFERS = 16
# A failure must be seen, not mended. It would ask servers for hashes by exec, which not every peer allows.
_CLIENT = ("--retries", "1", "--low-level-retries", "1")


def copy(
    serving: Serving, source: str, target: str, scratch: Path, timeout: float, transfers: int = TRANSFERS
) -> Took:
    """`rclone copy`; the server is the remote `server:`."""
    words = ("copy", source, target, *_CLIENT, "--transfers", str(transfers))
    return _run(words, remote(serving), scratch, timeout)


def check(serving: Serving, source: str, target: str, scratch: Path, timeout: float) -> None:
    """Compare contents byte by byte. Failed when they differ."""
    _run(("check", source, target, "--download", "--one-way"), remote(serving), scratch, timeout)


def seed(store: Store, source: Path, bucket_path: str, scratch: Path, timeout: float = 600) -> None:
    """Copy a local directory into a bucket, past relay and servers."""
    words = ("copy", str(source), f"seed:{bucket_path}", "--transfers", "16", "--s3-chunk-size", "16M")
    _run(words, s3_remote("seed", store), scratch, timeout)


def check_bucket(store: Store, source: Path, bucket_path: str, scratch: Path, timeout: float = 600) -> None:
    """Compare a local directory with a bucket's content. Failed when they differ."""
    words = ("check", str(source), f"seed:{bucket_path}", "--download", "--one-way", "--checkers", "16")
    _run(words, s3_remote("seed", store), scratch, timeout)


def remote(serving: Serving) -> dict[str, str]:
    """The environment that makes a server the remote `server:`."""
    options = {
        "TYPE": "sftp",
        "HOST": serving.host,
        "PORT": str(serving.site.port),
        "USER": serving.site.identity.user,
        "KEY_FILE": str(serving.site.identity.user_key),
        "SHELL_TYPE": "none",
        "DISABLE_HASHCHECK": "true",
    }
    named = {f"RCLONE_CONFIG_SERVER_{name}": value for name, value in options.items()}
    return {**named, "RCLONE_CONFIG": "/dev/null"}


def _run(words: Sequence[str], environment: Mapping[str, str], scratch: Path, timeout: float) -> Took:
    command = [program("rclone") or "rclone", *words]
    return run_together([command], environment, scratch / "client.log", timeout)

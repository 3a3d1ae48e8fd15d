"""s3sftp, as a user starts it: everything that is not said here is the default.

Variables S3SFTP_* of the caller reach it, so that options can be compared; the results name them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from bench.peers.peer import Command, PeerServer, Site, Storage


class S3Sftp(PeerServer):
    """`s3sftp serve s3://bucket`. `but` says in words what `options`, environment variables, change."""

    storage = Storage.S3

    def __init__(
        self, name: str = "s3sftp", workers: int = 0, options: Mapping[str, str] | None = None, but: str = ""
    ) -> None:
        self._workers = workers
        self._options = options or {}
        self.name = name
        processes = f", {workers} worker{'s' * (workers > 1)}" if workers else ""
        self.about = f"`s3sftp serve s3://bucket`, defaults{processes}{but and f', {but}'}"

    def command(self, site: Site) -> Command:
        environment = {**site.store.environment(), "S3SFTP_S3__ADDRESSING": "path", **self._options}
        if self._workers:
            environment["S3SFTP_SERVER__WORKERS"] = str(self._workers)
        url = f"s3://{site.bucket}"
        return Command([*_serve(site), url, "--endpoint-url", site.store.endpoint_url], environment)


MANY = {
    "S3SFTP_SSH__MAX_CONNECTIONS": "10000",
    "S3SFTP_SSH__MAX_CONNECTIONS_PER_USER": "10000",
    "S3SFTP_FILES__MAX_UPLOADS_PER_USER": "10000",
}
"""What the benchmark's one user needs to be as many as the users of a busy server."""


class S3SftpMemory(PeerServer):
    """`s3sftp serve --backend memory`: the SSH side alone."""

    name = "s3sftp-memory"
    about = "`s3sftp serve --backend memory`, defaults: the SSH side alone"
    storage = Storage.MEMORY

    def command(self, site: Site) -> Command:
        return Command([*_serve(site), "--backend", "memory"])


def _serve(site: Site) -> list[str]:
    words = {
        "--host": "127.0.0.1",
        "--port": str(site.port),
        "--user": site.identity.user,
        "--authorized-keys": str(site.identity.authorized_keys),
        "--state-dir": str(site.directory / "state"),
    }
    return [sys.executable, "-m", "s3sftp", "serve", *(word for pair in words.items() for word in pair)]

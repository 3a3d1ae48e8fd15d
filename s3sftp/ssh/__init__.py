"""SSH: the listener, its limits, its keys and algorithms."""

from s3sftp.ssh.admission import Refusal
from s3sftp.ssh.door import CountedGuest, Door, Entrance, Expel, FrontDoor, Guest, Peer
from s3sftp.ssh.host_keys import host_keys_aside, load_host_keys
from s3sftp.ssh.intake import Intake
from s3sftp.ssh.listener import Listener
from s3sftp.ssh.options import ListenOptions, SshOptions
from s3sftp.ssh.reception import Reception, Servers
from s3sftp.ssh.sessions import OpenSession, ServerSession
from s3sftp.ssh.sockets import CannotListen, bind

__all__ = [
    "CannotListen",
    "CountedGuest",
    "Door",
    "Entrance",
    "Expel",
    "FrontDoor",
    "Guest",
    "Intake",
    "ListenOptions",
    "Listener",
    "OpenSession",
    "Peer",
    "Reception",
    "Refusal",
    "ServerSession",
    "Servers",
    "SshOptions",
    "bind",
    "host_keys_aside",
    "load_host_keys",
]

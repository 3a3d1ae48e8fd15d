"""SSH: the listener, its connection limits, host keys, algorithms, and login.

client ──► Acceptor ─ TrustedProxies (who the client is) ─ ServerAdmissionGate (bans, limits, the queue)
               │ admitted
               ▼
           ConnectionSource ──► asyncssh ──► SshConnection ─┬─ Login, with auth's AuthGateway
                                                            ├─ ConnectionSessions, one for each channel
                                                            └─ Keepalive, TcpWatch (is the client gone?)

Listener holds the connections from start to stop. `packet_fast_path` replaces asyncssh's handling of data
packets.
"""

from s3sftp.ssh.acceptor import Acceptor, ConnectionHandler
from s3sftp.ssh.admission import Refusal
from s3sftp.ssh.admission_gate import (
    AdmissionGate,
    AdmittedConnection,
    Disconnect,
    LocalAdmittedConnection,
    Peer,
    ServerAdmissionGate,
)
from s3sftp.ssh.connection import OpenedSession
from s3sftp.ssh.connection_source import ConnectionSource, SocketAdopter
from s3sftp.ssh.host_keys import host_keys_in_thread, load_host_keys
from s3sftp.ssh.listener import Listener
from s3sftp.ssh.listening_sockets import CannotListen, bind
from s3sftp.ssh.options import ListenOptions, SshOptions
from s3sftp.ssh.sessions import OpenSession, ServerSession

__all__ = [
    "Acceptor",
    "AdmissionGate",
    "AdmittedConnection",
    "CannotListen",
    "ConnectionHandler",
    "ConnectionSource",
    "Disconnect",
    "ListenOptions",
    "Listener",
    "LocalAdmittedConnection",
    "OpenSession",
    "OpenedSession",
    "Peer",
    "Refusal",
    "ServerAdmissionGate",
    "ServerSession",
    "SocketAdopter",
    "SshOptions",
    "bind",
    "host_keys_in_thread",
    "load_host_keys",
]

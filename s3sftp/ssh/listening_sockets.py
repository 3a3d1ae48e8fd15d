"""Binds the listening sockets before the server is ready, so that a port in use is reported at once."""

from __future__ import annotations

import errno
import os
import socket

from s3sftp.errors import S3sftpError
from s3sftp.ssh.options import ListenOptions

BACKLOG = 1024
"""Connections that the kernel queues until they are accepted."""


_ADVICE = {
    errno.EACCES: "; set listen.port to 1024 or more, or allow lower ones (CAP_NET_BIND_SERVICE)",
    errno.EADDRNOTAVAIL: "; listen.host has to be an address of this machine; empty means all of them",
    errno.EAFNOSUPPORT: "; this machine has no addresses of that kind; empty in listen.host means all it has",
}
_A_NAME = "; listen.host has to be an address of this machine, or a name that leads to one"


class CannotListen(S3sftpError):
    """The address cannot be listened on: it is in use, not local, or not permitted."""

    @classmethod
    def because(cls, listen: ListenOptions, error: OSError) -> CannotListen:
        """The error for this address and cause."""
        # the errors of getaddrinfo have numbers of their own
        named = error.errno and not isinstance(error, socket.gaierror)
        reason = os.strerror(error.errno) if named and error.errno else error.strerror or str(error)
        advice = _ADVICE.get(error.errno or 0, "") if named else _A_NAME
        return cls(f"cannot listen on {listen.host or '*'}:{listen.port}: {reason}{advice}")


def bind(listen: ListenOptions) -> list[socket.socket]:
    """Bound sockets that do not listen yet, one for each address.

    Raises CannotListen: if an address cannot be bound.
    """
    sockets: list[socket.socket] = []
    try:
        for family, address in _addresses(listen):
            sockets.append(_bound(family, address, both=not listen.host))
    except OSError as error:
        for each in sockets:
            each.close()
        raise CannotListen.because(listen, error) from error
    return sockets


def _addresses(listen: ListenOptions) -> list[tuple[int, tuple[str, int]]]:
    if not listen.host:
        family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        return [(family, ("", listen.port))]
    try:
        found = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except UnicodeError:  # idna refuses the name, or it contains bytes that are not text
        raise CannotListen(f"cannot listen on {listen.host!r}: no host can have such a name") from None
    return list(dict.fromkeys((int(entry[0]), entry[4]) for entry in found))  # type: ignore[misc]


def _bound(family: int, address: tuple[str, int], *, both: bool) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if both else 1)
        bound.bind(address)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound

"""A storage that runs in its own task or process and answers messages.

    messages                       one message for each operation
    stub                           a backend that turns calls into messages
    mailbox                        the service is a task of this process
    backend      client            the service is another process, which may come and go
    unix                           that other process, in Python
    dispatcher   upload_receiver   turns messages into calls of a `Backend` object (both kinds)
    wire         codecs            messages as maps
    handshake    framing           how a connection begins, and how maps are delimited on it

Modules are loaded when they are first used: the options alone need none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from s3sftp.backends.service.options import ServiceOptions

if TYPE_CHECKING:
    from s3sftp.backends.service.backend import ServiceBackend
    from s3sftp.backends.service.handshake import callbacks_of
    from s3sftp.backends.service.mailbox import Mailbox, PendingCall, serve
    from s3sftp.backends.service.unix import serve_unix

__all__ = [
    "Mailbox",
    "PendingCall",
    "ServiceBackend",
    "ServiceOptions",
    "callbacks_of",
    "serve",
    "serve_unix",
]

_MODULES = {
    "PendingCall": "mailbox",
    "Mailbox": "mailbox",
    "ServiceBackend": "backend",
    "callbacks_of": "handshake",
    "serve": "mailbox",
    "serve_unix": "unix",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)

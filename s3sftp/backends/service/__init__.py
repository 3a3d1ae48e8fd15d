"""A storage that runs in its own task or process and answers messages.

    messages    callbacks                        one message for each operation; which a service answers
    stub                                         a backend that turns calls into messages
    mailbox     serving                          the service is a task of this process
    backend     connector       client           the service is another process, which may come and go
    unix        connection                       that other process, in Python
    dispatcher  upload_receiver paged_listing    turns messages into calls of a `Backend` object (both kinds)
    wire        codecs          packing          messages as msgpack
    handshake   framing                          how a connection begins, and how maps are delimited on it

Modules are loaded when they are first used: the options alone need none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from s3sftp.backends.service.options import ServiceOptions

if TYPE_CHECKING:
    from s3sftp.backends.service.backend import ServiceBackend
    from s3sftp.backends.service.callbacks import callbacks_of
    from s3sftp.backends.service.mailbox import Mailbox, PendingCall
    from s3sftp.backends.service.serving import serve
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
    "callbacks_of": "callbacks",
    "serve": "serving",
    "serve_unix": "unix",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)

"""A storage that lives in its own task or process and answers messages.

    messages   callbacks              what is asked, one message for each operation; what a service may answer
    stub                              a backend that asks: makes messages of calls
    mailbox    serving                the service is a task of this process
    backend    connector  link        it is another process, which comes and goes
    unix       connection             that process, in Python
    answering  receiving  listings    a `Backend` object that answers, in either: makes calls of messages
    wire       fields  packing        messages as msgpack
    hello      frames                 what a connection begins with, and how maps follow each other on it

Loaded when it is first used: the options alone need none of it.
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

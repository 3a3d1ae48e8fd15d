"""s3sftp: an SFTP server whose storage is an S3 bucket.

The layers, top to bottom; a module imports only from its own layer or below:

    testing                       the conformance kit for backends
    cli                           commands
    app  server                   the composition root; start, drain, stop
    workers  admin                several processes behind a supervisor; the admin port
    ssh                           listener, connection limits, host keys, algorithms
    auth                          who may log in: accounts, keys, passwords, bans
    sftp                          protocol v3: codec, sessions, handles, attributes, status table
    fs                            what a user sees: paths, mounts, open files, read-ahead, writers
    events                        what happens after a commit
    backends                      the contract; s3 is the product, memory a test double
    telemetry                     spans, logs, metrics: what an operation cost
    runtime  config  errors       cancellation, shutdown, backoff; typed options; the one tree of errors

The names that an application needs to embed the server are available here, such as `s3sftp.Server`. Each is
imported when it is first used, so that `import s3sftp` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from s3sftp.auth import Authenticator, AuthOptions, Certificate, Identity, StaticUser, StaticUsers
    from s3sftp.errors import LoginRefused
    from s3sftp.events import Committed, Renamed, Subscriber
    from s3sftp.fs import FileOptions
    from s3sftp.server import Server
    from s3sftp.sftp import SftpOptions
    from s3sftp.ssh import SshOptions

__version__ = "0.1.0"

_WHERE = {
    "AuthOptions": "auth",
    "Authenticator": "auth",
    "Certificate": "auth",
    "Committed": "events",
    "FileOptions": "fs",
    "Identity": "auth",
    "LoginRefused": "errors",
    "Renamed": "events",
    "Server": "server",
    "SftpOptions": "sftp",
    "SshOptions": "ssh",
    "StaticUser": "auth",
    "StaticUsers": "auth",
    "Subscriber": "events",
}

__all__ = [
    "AuthOptions",
    "Authenticator",
    "Certificate",
    "Committed",
    "FileOptions",
    "Identity",
    "LoginRefused",
    "Renamed",
    "Server",
    "SftpOptions",
    "SshOptions",
    "StaticUser",
    "StaticUsers",
    "Subscriber",
    "__version__",
]


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module 's3sftp' has no attribute {name!r}")
    return getattr(import_module(f"s3sftp.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return __all__

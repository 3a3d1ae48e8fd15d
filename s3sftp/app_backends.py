"""The storage that the options name, made.

What a storage needs is imported when it is made: a bucket needs no threads for a disk, a supervisor neither.
"""

from __future__ import annotations

from collections.abc import Callable

from s3sftp.app_options import ServerOptions
from s3sftp.backends import Backend
from s3sftp.backends.registry import BUILT_IN, make_installed
from s3sftp.counters import Table
from s3sftp.errors import ConfigurationError
from s3sftp.telemetry.metrics import Metrics


def make_backend(
    options: ServerOptions,
    changes: Table | None = None,
    made: Table | None = None,
    metrics: Metrics | None = None,
) -> Backend:
    """The storage, not started; `changes` is where workers tell each other of what they change, `made` of the
    names that they make, `metrics` where a bucket's requests are counted.

    Raises ConfigurationError.
    """
    if options.backend == "s3":
        return _s3(options, changes, made, metrics)
    if options.backend in _MAKERS:
        return _MAKERS[options.backend](options)
    return make_installed(options.backend, options.backend_options)


def _s3(
    options: ServerOptions, changes: Table | None, made: Table | None, metrics: Metrics | None
) -> Backend:
    from s3sftp.backends.s3 import S3Backend

    if options.s3 is None:
        raise ConfigurationError([BUILT_IN["s3"].missing])
    return S3Backend(options.s3, options.server.state_dir, changes, made, metrics)


def _local(options: ServerOptions) -> Backend:
    from s3sftp.backends.local import LocalBackend

    if options.local is None:
        raise ConfigurationError([BUILT_IN["local"].missing])
    return LocalBackend(options.local)


def _service(options: ServerOptions) -> Backend:
    from s3sftp.backends.service import ServiceBackend

    if options.service is None:
        raise ConfigurationError([BUILT_IN["service"].missing])
    return ServiceBackend(options.service)


def _memory(options: ServerOptions) -> Backend:
    from s3sftp.backends.memory import MemoryBackend

    return MemoryBackend()


_MAKERS: dict[str, Callable[[ServerOptions], Backend]] = {
    "local": _local,
    "service": _service,
    "memory": _memory,
}

"""The storage that the options name, made.

What a storage needs is imported when it is made: a bucket needs no threads for a disk, a supervisor neither.
"""

from __future__ import annotations

from collections.abc import Callable

from s3sftp.app.options import ServerOptions
from s3sftp.backends import Backend
from s3sftp.backends.findings import Finding
from s3sftp.backends.registry import BUILT_IN, make_installed_backend
from s3sftp.backends.s3.request_outcomes import RequestOutcomes
from s3sftp.backends.s3.worker_tables import ROWS, WorkerTables
from s3sftp.errors import ConfigurationError
from s3sftp.runtime.shared_counters import SharedCounters
from s3sftp.telemetry.metrics import Metrics

SHARED_ROWS = ROWS
"""How many rows a backend has for what the workers of a server tell each other about the storage."""


def make_backend(
    options: ServerOptions, metrics: Metrics | None = None, shared: SharedCounters | None = None
) -> Backend:
    """The storage, not started. `metrics` counts a bucket's requests; `shared` is a table of `SHARED_ROWS`,
    in which the workers of a server tell each other about the storage.

    Raises ConfigurationError.
    """
    if options.backend == "s3":
        return _s3(options, metrics, shared)
    if options.backend in _MAKERS:
        return _MAKERS[options.backend](options)
    return make_installed_backend(options.backend, options.backend_options)


async def check_backend(options: ServerOptions) -> list[Finding]:
    """Look at the storage, and say what keeps a server from using it. Raises ConfigurationError."""
    if options.backend == "s3" and options.s3 is not None:
        from s3sftp.backends.s3 import check

        return await check(options.s3)
    from s3sftp.backends.preflight import run_preflight

    return await run_preflight(make_backend(options))


def contact_in(shared: SharedCounters) -> RequestOutcomes:
    """What the latest requests of all workers say of the storage; `shared` as for `make_backend`."""
    return RequestOutcomes(WorkerTables.of(shared).contact)


def import_backend(name: str) -> None:
    """Import and read what a built-in storage needs, for processes that are forked from this one.

    A storage of another package is left to those that use it: importing it may start threads.
    """
    if name == "s3":
        from s3sftp.backends.s3.http.service_model import preload_models

        preload_models()  # first: what reading leaves free the modules then take
        import encodings.idna as _names  # noqa: F401  # asyncio looks up the endpoint with it

        from s3sftp.backends.s3 import backend as _backend  # noqa: F401


async def prepare_backend(options: ServerOptions) -> None:
    """Make what a built-in storage needs and processes that are forked from this one can take over.

    Raises ConfigurationError.
    """
    if options.backend == "s3" and options.s3 is not None:
        from s3sftp.backends.s3.botocore_client import prepare_client

        try:
            await prepare_client(options.s3)
        except ConfigurationError:
            raise
        except Exception:
            return  # it is tried again where it is needed, and told there


def with_possible_journal(options: ServerOptions) -> tuple[ServerOptions, str | None]:
    """The options, without a journal where nobody has asked for one and the disk takes none; and why.

    A server without a writable disk starts so: what a crash leaves is then the lifecycle rule's. Who has
    named the journal, or the state directory, gets what was asked for or an error. Blocks.
    """
    s3 = options.s3
    asked = s3 is None or "journal" in s3.model_fields_set or "state_dir" in options.server.model_fields_set
    if asked or s3 is None:
        return options, None
    try:
        require_state(options)
    except ConfigurationError as error:
        return options.model_copy(update={"s3": s3.model_copy(update={"journal": "off"})}), str(error)
    return options, None


def require_state(options: ServerOptions) -> None:
    """See that the storage can keep on this machine what it has to. Blocks, so not for the event loop.

    Raises ConfigurationError.
    """
    if options.backend == "s3" and options.s3 is not None and options.s3.journal == "disk":
        from s3sftp.backends.s3.recovery.disk_journal import require_directory

        require_directory(options.server.state_dir)


def _s3(options: ServerOptions, metrics: Metrics | None, shared: SharedCounters | None) -> Backend:
    from s3sftp.backends.s3 import S3Backend

    if options.s3 is None:
        raise ConfigurationError([BUILT_IN["s3"].missing])
    return S3Backend(options.s3, options.server.state_dir, metrics, WorkerTables.of(shared))


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

"""Makes the backend that the options name, and says where in it the users of other sources may be.

Each backend's modules are imported only when it is made: the S3 backend needs no threads for a disk, and a
supervisor needs neither.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from s3sftp.app.options import ServerOptions
from s3sftp.auth.sources.transfer_family import UserHomes
from s3sftp.backends import Backend
from s3sftp.backends.findings import Finding
from s3sftp.backends.registry import BUILT_IN, make_installed_backend
from s3sftp.backends.s3.keys import RESERVED
from s3sftp.backends.s3.options import S3Options
from s3sftp.backends.s3.request_outcomes import RequestOutcomes
from s3sftp.backends.s3.worker_tables import ROWS, WorkerTables
from s3sftp.errors import ConfigurationError
from s3sftp.runtime.shared_counters import SharedCounters
from s3sftp.telemetry.metrics import Metrics

SHARED_ROWS = ROWS
"""Rows in shared memory with which a backend's workers share what they know about the storage."""


def make_backend(
    options: ServerOptions,
    metrics: Metrics | None = None,
    shared: SharedCounters | None = None,
    storage: str = "",
) -> Backend:
    """The backend, not started. `metrics` counts its S3 requests. `shared` has `SHARED_ROWS` rows, through
    which the workers of a server share what they know about the storage. `storage` is its name.

    Raises ConfigurationError: if there is no such backend or its options are wrong.
    """
    if options.backend == "s3":
        return _s3(options, metrics, shared, storage)
    if options.backend in _MAKERS:
        return _MAKERS[options.backend](options)
    return make_installed_backend(options.backend, options.backend_options)


def make_backend_to_read(options: ServerOptions, storage: str = "") -> Backend:
    """The backend for reading alone: it looks for nothing that unfinished uploads have left, and keeps no
    journal. `storage` is its name.

    Raises ConfigurationError: if there is no such backend or its options are wrong.
    """
    if options.backend == "s3" and options.s3 is not None:
        without_journal = options.s3.model_copy(update={"journal": "off"})
        return _s3(options.model_copy(update={"s3": without_journal}), None, None, storage)
    if options.backend == "local":
        return _local(options, sweeps=False)
    return make_backend(options)


async def check_backend(options: ServerOptions) -> list[Finding]:
    """Probe all storages and report what would keep a server from using them. Findings about one of
    `[storages.NAME]` begin with its name.

    Raises ConfigurationError: if there is no such backend or its options are wrong.
    """
    if options.storages:
        found = await check_backend(options.of_storage(""))
        for name in options.storages:
            of_storage = await check_backend(options.of_storage(name))
            found += [replace(each, what=f"{name}: {each.what}") for each in of_storage]
        return found
    if options.backend == "s3" and options.s3 is not None:
        from s3sftp.backends.s3 import check

        return await check(options.s3)
    from s3sftp.backends.preflight import run_preflight

    return await run_preflight(make_backend(options))


def contact_in(shared: SharedCounters) -> RequestOutcomes:
    """The outcomes of all workers' latest requests to the storage; `shared` as for `make_backend`."""
    return RequestOutcomes(WorkerTables.of(shared).contact)


def import_backend(name: str) -> None:
    """Import what a built-in backend needs, in a process that others are then forked from.

    Backends of other packages are imported only by the processes that use them: the import may start threads.
    """
    if name == "s3":
        from s3sftp.backends.s3.http.service_model import preload_models

        preload_models()  # first, so that the modules reuse the memory that this frees
        import encodings.idna as _names  # noqa: F401  # asyncio looks up the endpoint with it

        from s3sftp.backends.s3 import backend as _backend  # noqa: F401


async def prepare_backend(options: ServerOptions) -> None:
    """Prepare what a built-in backend needs and what forked processes can inherit.

    Raises ConfigurationError: if its options are wrong.
    """
    if options.storages:
        for name in options.storage_names:
            await prepare_backend(options.of_storage(name))
        return
    if options.backend == "s3" and options.s3 is not None:
        from s3sftp.backends.s3.botocore_client import prepare_client

        try:
            await prepare_client(options.s3)
        except ConfigurationError:
            raise
        except Exception:
            return  # it is tried again, and its failure reported, where it is needed


def with_possible_journal(options: ServerOptions) -> tuple[ServerOptions, str | None]:
    """The options, and why they now lack a journal: it is dropped if it was not configured and the disk is
    not writable.

    A server without a writable disk starts this way, and leaves what a crash leaves behind to the bucket's
    lifecycle rule. If the journal or the state directory is configured explicitly, it is used or an error is
    raised. Blocks.
    """
    if options.storages:
        return _with_possible_journals(options)
    s3 = options.s3
    asked = s3 is None or "journal" in s3.model_fields_set or "state_dir" in options.server.model_fields_set
    if asked or s3 is None:
        return options, None
    try:
        require_state(options)
    except ConfigurationError as error:
        return options.model_copy(update={"s3": s3.model_copy(update={"journal": "off"})}), str(error)
    return options, None


def _with_possible_journals(options: ServerOptions) -> tuple[ServerOptions, str | None]:
    """The same for several storages."""
    lacks: set[str] = set()
    found: dict[str, S3Options | None] = {}
    for name in options.storage_names:
        possible, lack = with_possible_journal(options.of_storage(name))
        found[name] = possible.s3
        lacks |= {lack} if lack else set()
    storages = {name: s3 for name, s3 in found.items() if name and s3 is not None}
    update = {"s3": found[""], "storages": storages}
    return options.model_copy(update=update), "; ".join(sorted(lacks)) or None


def require_state(options: ServerOptions) -> None:
    """Check that each backend can keep its state on this machine. Blocks, so do not call it on the event
    loop.

    Raises ConfigurationError: if one cannot.
    """
    if options.storages:
        for name in options.storage_names:
            require_state(options.of_storage(name))
        return
    if options.backend == "s3" and options.s3 is not None and options.s3.journal == "disk":
        from s3sftp.backends.s3.recovery.disk_journal import require_directory

        require_directory(options.server.state_dir)


def _s3(
    options: ServerOptions, metrics: Metrics | None, shared: SharedCounters | None, storage: str
) -> Backend:
    from s3sftp.backends.s3 import S3Backend

    if options.s3 is None:
        raise ConfigurationError([BUILT_IN["s3"].missing])
    if options.s3.has_user_sessions:
        from s3sftp.backends.s3.user_sessions import UserSessionsBackend

        tables = WorkerTables.of(shared)
        return UserSessionsBackend(options.s3, options.server.state_dir, metrics, tables, storage=storage)
    tables = WorkerTables.of(shared)
    return S3Backend(options.s3, options.server.state_dir, metrics, tables, storage=storage)


def _local(options: ServerOptions, *, sweeps: bool = True) -> Backend:
    from s3sftp.backends.local import LocalBackend

    if options.local is None:
        raise ConfigurationError([BUILT_IN["local"].missing])
    return LocalBackend(options.local, sweeps=sweeps)


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


def user_homes(options: ServerOptions, bucket: str) -> UserHomes:
    """Where in the storages the users of a source may have their directories. `bucket` is the name of the
    first storage's bucket in its answers; empty: `s3.bucket`."""
    storages = {name: (each.bucket, each.prefix) for name, each in options.storages.items()}
    if options.backend != "s3" or options.s3 is None:
        return UserHomes(bucket, storages=storages, roles=options.mount_roles)
    return UserHomes(
        bucket or options.s3.bucket, options.s3.prefix, RESERVED.decode(), storages, options.mount_roles
    )

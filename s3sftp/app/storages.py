"""Makes, checks and probes all storages of a server.

The storage of `backend` has no name. What is wrong with one of `[storages.NAME]` is reported with its name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

from s3sftp.app.backends import make_backend
from s3sftp.app.health import describe_storage_error, probe_storage, storage_problem
from s3sftp.app.options import ServerOptions
from s3sftp.app.storage_contacts import shared_tables
from s3sftp.backends import Backend, CompleteBackend, Place
from s3sftp.backends.router import backend_at
from s3sftp.errors import NotFound, PermissionDenied, StorageError
from s3sftp.runtime.shared_counters import SharedCounters
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.metrics import Metrics

_log = get_logger("s3sftp.app")
_PROBE_SECONDS = 10.0


def make_storages(options: ServerOptions, metrics: Metrics, shared: SharedCounters) -> dict[str, Backend]:
    """The backends by name, not started. `shared` has `shared_rows`.

    Raises ConfigurationError: if there is no such backend or its options are wrong.
    """
    tables = shared_tables(options, shared)
    return {name: make_backend(options.of_storage(name), metrics, tables[name], name) for name in tables}


async def require_storages(storage: CompleteBackend, options: ServerOptions) -> None:
    """Look up the root of each storage once at start.

    Raises StorageError: if one refuses and will keep refusing, such as for a missing bucket or permission.
    """
    for name in options.storage_names:
        await _require(backend_at(storage, Place((), name)), options.of_storage(name), name)


async def _require(backend: Backend, options: ServerOptions, name: str) -> None:
    """Look up the root of one storage.

    A storage that is down or slow is only logged: it may be back before the first user logs in. So is a
    refusal that may pass: the storage may serve only users who have logged in, and at start there are none.
    """
    named = {"storage": name} if name else {}
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            await probe_storage(backend)
    except TimeoutError:
        _log.error("storage.unreachable", error=f"no reply within {_PROBE_SECONDS:g} s", **named)
    except StorageError as error:
        described = describe_storage_error(error, options)
        if error.lasting or isinstance(error, NotFound):
            error.detail = f"storage {name}: {described}" if name else described
            raise
        if isinstance(error, PermissionDenied):
            _log.warning("storage.probe_denied", error=str(error), detail=error.detail, **named)
            return
        _log.error("storage.unreachable", error=str(error), detail=described, **named)


async def storage_problems(
    storage: CompleteBackend, given: Mapping[str, Backend], options: ServerOptions, names: Collection[str]
) -> str:
    """The problems of these storages when probed: that of the storage without a name is the first line, which
    may be empty, and those of others are further lines. Empty if there are none.

    `given` are the backends as they were made.
    """

    async def problem(name: str) -> str:
        if name not in names:
            return ""
        backend = backend_at(storage, Place((), name))
        return await storage_problem(backend, given[name], options.of_storage(name))

    first, *others = await asyncio.gather(*(problem(name) for name in options.storage_names))
    found = zip(options.storages, others, strict=True)
    return "\n".join([first, *(f"storage {name}: {text}" for name, text in found if text)])

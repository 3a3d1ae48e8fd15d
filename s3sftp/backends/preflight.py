"""Checks any storage before the server relies on it (`s3sftp check`).

Nothing is written, since a storage may act on what it is given.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import cast

from s3sftp.backends.capabilities import examine
from s3sftp.backends.complete import complete
from s3sftp.backends.contract import Backend, CompleteBackend, Entry, Extras, Place, Session
from s3sftp.backends.findings import Finding
from s3sftp.backends.operations import names_of
from s3sftp.backends.spool import SpoolQuota
from s3sftp.errors import PermissionDenied, StorageError, describe_unexpected

_LIMIT_SECONDS = 30.0
_AS_A_USER = ("root", "list")
"""The probes that run without a logged-in user, which a storage may refuse."""


async def run_preflight(backend: Backend) -> list[Finding]:
    """Start a backend, describe and list its root without a logged-in user, and stop it. Returns the
    findings, up to the first that failed.

    Raises ConfigurationError: if the object is not a backend, or not with these options.
    """
    whole = complete(backend, SpoolQuota(None, 0))
    findings = [Finding("callbacks", "ok", _capabilities(backend))]
    try:
        for what, probe in _PROBES.items():
            findings.append(await _found(what, probe(whole)))
            if findings[-1].state == "failed":
                break
        else:
            findings.append(Finding("write", "warning", "not tried", "upload a file to see"))
    finally:
        findings.append(await _found("stop", _stop(whole)))
    return findings


def _capabilities(backend: Backend) -> str:
    can = examine(backend)
    optional = {
        "ranged reads": can.ranged_reads,
        "streamed writes": can.streamed_writes,
        **{name.replace("_", " "): name in can.extras for name in names_of(Extras)},
        "first chunk bytes": can.first_chunk_bytes,
        "begin is free": can.begin_is_free,
    }
    has = [words for words, is_there in optional.items() if is_there]
    return "all that is required, " + (", ".join(has) if has else "whole files only")


async def _found(what: str, probe: Awaitable[str]) -> Finding:
    try:
        async with asyncio.timeout(_LIMIT_SECONDS):
            return Finding(what, "ok", await probe)
    except TimeoutError:
        return Finding(what, "failed", f"no answer in {_LIMIT_SECONDS:g} s")
    except StorageError as error:
        said = f"{error} ({error.detail})" if error.detail else str(error)
        if what in _AS_A_USER and isinstance(error, PermissionDenied) and not error.lasting:
            return Finding(what, "warning", said, "it was asked for nobody: log in as a user to see")
        return Finding(what, "failed", said)
    except Exception as error:
        return Finding(what, "failed", describe_unexpected(error))


_ME = Session(user="", session_id="check")


async def _start(backend: CompleteBackend) -> str:
    await backend.start()
    return "it is ready" if getattr(backend, "ready", True) else "it has started, and is not ready yet"


async def _root(backend: CompleteBackend) -> str:
    await backend.file_info(Place(), _ME)
    return "it is a directory"


async def _list(backend: CompleteBackend) -> str:
    pages = backend.list_dir(Place(), _ME)
    async with aclosing(cast("AsyncGenerator[Sequence[Entry], None]", pages)):
        async for page in pages:
            return f"{len(page)} entries on the first page"
    return "nothing is in it"


async def _stop(backend: CompleteBackend) -> str:
    await backend.stop()
    return "it has let go of everything"


_PROBES: dict[str, Callable[[CompleteBackend], Awaitable[str]]] = {
    "start": _start,
    "root": _root,
    "list": _list,
}

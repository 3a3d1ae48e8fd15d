"""Operations that are only tried: by the server's own file system, over a storage that changes nothing.

    put /inbox/x.csv ──► FileSystem ──► Access, Mounts, rules      what the user may
                            └─────────► DryRunBackend ──► storage  what is there: read requests alone

Each operation is the first one of a session of its own: none of them sees what another would have changed.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from s3sftp import errors
from s3sftp.app.backends import make_backend_to_read
from s3sftp.app.options import ServerOptions
from s3sftp.auth import Identity
from s3sftp.backends import CompleteBackend, Session
from s3sftp.backends.complete import complete
from s3sftp.backends.dry_run import DryRunBackend
from s3sftp.backends.router import StorageRouter
from s3sftp.backends.spool import SpoolQuota
from s3sftp.config import ByteSize
from s3sftp.errors import StorageError
from s3sftp.fs import FileOptions, FileSystem, NewAttributes, OpenStorage, VirtualPath, WriteMode
from s3sftp.fs.transfer_book import TransferBook

UNAVAILABLE = "unavailable"
"""The only key of a process's answer to a dry run that it has not done; the value says why."""
_UNREACHABLE = (errors.StorageFailure, errors.TimedOut, errors.Busy)


@dataclass(frozen=True, slots=True)
class WantedOperation:
    """An operation that is to be tried."""

    text: str
    """As the operator wrote it."""
    verb: str
    paths: tuple[VirtualPath, ...]
    size: int | None = None
    """Bytes; None if the operation has none."""


@dataclass(frozen=True, slots=True)
class TriedOperation:
    """What would become of an operation."""

    operation: WantedOperation
    state: str
    """`allowed`, `refused`, or `unknown`: the storage did not say what is there."""
    reason: str | None = None
    """What the client would read."""
    rule: str | None = None
    """The right that is missing, or the rule that refuses; None if it is due to what is stored."""
    detail: str | None = None
    """What only the operator may read."""
    stored_as: str | None = None
    """The name that the file would get, if it is not the one that the client gave."""


_Run = Callable[[FileSystem, WantedOperation], Awaitable[str | None]]
"""Performs an operation; returns the path that a file gets instead of the one given, if it does."""


async def _put(files: FileSystem, operation: WantedOperation) -> str | None:
    return await _write(files, operation, WriteMode(truncate=True))


async def _append(files: FileSystem, operation: WantedOperation) -> str | None:
    return await _write(files, operation, WriteMode(append=True))


async def _write(files: FileSystem, operation: WantedOperation, mode: WriteMode) -> str | None:
    (path,) = operation.paths
    upload = await files.open_writer(path, mode)
    try:
        if operation.size is not None:
            present = await upload.stat() if mode.append else None
            size = operation.size + (present.size if present else 0)
            upload.rules.refuse_size(size)
            await files.require_room(upload, size)
        await upload.write(0, b"\0")
    except BaseException:
        await upload.abort()
        raise
    await upload.close()
    return str(upload.path) if upload.path != path else None


async def _get(files: FileSystem, operation: WantedOperation) -> str | None:
    reader = await files.open_reader(*operation.paths)
    await reader.close()
    return None


async def _ls(files: FileSystem, operation: WantedOperation) -> str | None:
    listing = await files.open_dir(*operation.paths)
    await listing.close()
    return None


async def _stat(files: FileSystem, operation: WantedOperation) -> str | None:
    await files.stat(*operation.paths)
    return None


async def _rm(files: FileSystem, operation: WantedOperation) -> str | None:
    await files.remove(*operation.paths)
    return None


async def _mkdir(files: FileSystem, operation: WantedOperation) -> str | None:
    await files.make_dir(*operation.paths)
    return None


async def _rmdir(files: FileSystem, operation: WantedOperation) -> str | None:
    await files.remove_dir(*operation.paths)
    return None


async def _rename(files: FileSystem, operation: WantedOperation) -> str | None:
    source, target = operation.paths
    await files.rename(source, target, overwrite=True)
    return None


async def _rename_new(files: FileSystem, operation: WantedOperation) -> str | None:
    source, target = operation.paths
    await files.rename(source, target, overwrite=False)
    return None


async def _setstat(files: FileSystem, operation: WantedOperation) -> str | None:
    await files.set_attributes(operation.paths[0], NewAttributes(mtime=time.time()))
    return None


async def _truncate(files: FileSystem, operation: WantedOperation) -> str | None:
    await files.set_attributes(operation.paths[0], NewAttributes(size=operation.size))
    return None


@dataclass(frozen=True, slots=True)
class _Verb:
    run: _Run
    usage: str
    paths: int = 1
    size: str = "none"
    """Whether it has a size: `none`, `possible` or `needed`."""


_VERBS = {
    "put": _Verb(_put, "put PATH [SIZE]", size="possible"),
    "get": _Verb(_get, "get PATH"),
    "ls": _Verb(_ls, "ls PATH"),
    "stat": _Verb(_stat, "stat PATH"),
    "rm": _Verb(_rm, "rm PATH"),
    "mkdir": _Verb(_mkdir, "mkdir PATH"),
    "rmdir": _Verb(_rmdir, "rmdir PATH"),
    "rename": _Verb(_rename, "rename PATH NEW", paths=2),
    "rename-new": _Verb(_rename_new, "rename-new PATH NEW", paths=2),
    "append": _Verb(_append, "append PATH [SIZE]", size="possible"),
    "setstat": _Verb(_setstat, "setstat PATH"),
    "truncate": _Verb(_truncate, "truncate PATH SIZE", size="needed"),
}
USAGES = tuple(verb.usage for verb in _VERBS.values())
"""All operations, as they are written."""


def parse_operation(text: str) -> WantedOperation:
    """The operation that a text such as `put /inbox/x.csv` names.

    Raises ValueError: if it is none; says what would be right.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"{text!r}: {str(error).lower()}") from None
    verb = _VERBS.get(words[0]) if words else None
    if verb is None:
        raise ValueError(f"{text!r} should be one of: {', '.join(USAGES)}")
    rest = words[1:]
    size = None
    if len(rest) == verb.paths + 1 and verb.size != "none":
        size = _bytes(text, rest.pop())
    if len(rest) != verb.paths or (size is None and verb.size == "needed"):
        raise ValueError(f"{text!r} should be: {verb.usage}")
    try:
        paths = tuple(VirtualPath.parse(word.encode("utf-8", "surrogateescape")) for word in rest)
    except StorageError as error:
        raise ValueError(f"{text!r}: {error}") from None
    return WantedOperation(text, words[0], paths, size)


def _bytes(text: str, size: str) -> int:
    try:
        count: int = TypeAdapter[int](ByteSize).validate_python(size)
    except ValidationError as error:
        raise ValueError(f"{text!r}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
    return count


class OperationTrial:
    """Tries operations of one user on a storage, which it only reads."""

    def __init__(
        self, storage: CompleteBackend, options: FileOptions, identity: Identity, address: str
    ) -> None:
        self._storage = storage
        self._options = options
        self._identity = identity
        self._session = Session(
            identity.user,
            address,
            session_id="test-login",
            attributes=identity.attributes,
            grants=identity.tree().grants() if storage.wants_grants else None,
        )

    async def run(self, operation: WantedOperation) -> TriedOperation:
        """Try one operation, as the first one of a session."""
        book = TransferBook(is_pretended=True)  # the log must not say that anything was transferred
        volume = OpenStorage(DryRunBackend(self._storage), self._options, book=book)
        files = FileSystem(volume, self._identity.tree(), self._session)
        try:
            stored_as = await _VERBS[operation.verb].run(files, operation)
        except StorageError as error:
            is_unknown = isinstance(error, _UNREACHABLE) and error.rule is None
            state = "unknown" if is_unknown else "refused"
            return TriedOperation(operation, state, str(error), error.rule, error.detail)
        finally:
            await volume.wait_for_adopted()
            await volume.quotas.stop()
        return TriedOperation(operation, "allowed", stored_as=stored_as)


@asynccontextmanager
async def storage_to_read(options: ServerOptions) -> AsyncIterator[CompleteBackend]:
    """The configured storage, or several as one, for reading alone.

    Raises ConfigurationError: if there is no such backend or its options are wrong.
    Raises StorageError: if it cannot be used.
    """
    quota = SpoolQuota(options.files.spool_dir, options.files.spool_bytes)
    storages = {
        name: complete(make_backend_to_read(options.of_storage(name), name), quota)
        for name in options.storage_names
    }
    storage = StorageRouter(storages) if options.storages else storages[""]
    await storage.start()
    try:
        yield storage
    finally:
        await storage.stop()

"""Converts the values of messages and answers to and from msgpack: one codec for each type.

    Place          bin     names joined by slashes, without a leading slash; empty for the root
    Session        map     user, peer, client_version, session_id, attributes, trace_context
    FileInfo       map     kind ("file", "directory"), size, mtime, version, mode
    Entry          map     as FileInfo, and name (bin)
    WriteIntent    map     exclusive, base (FileInfo or nil), mtime
    Finish         map     size, mtime, base_kept
    Page           map     entries, cursor
    UploadStarted  map     chunk_bytes, min_chunk_bytes, parallel_chunks, keep_unit_bytes
    Usage          map     total_bytes, used_bytes, total_files, used_files

A key that a map lacks is nil, or the type's default; additional keys are ignored. Any other mismatch is a
`MalformedMessage`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NoReturn

from s3sftp.backends.contract import (
    Buffer,
    Entry,
    FileInfo,
    Finish,
    Kind,
    Place,
    Session,
    Usage,
    WriteIntent,
)
from s3sftp.backends.service.framing import MalformedMessage, plain
from s3sftp.backends.service.messages import Cursor, Page, UploadStarted
from s3sftp.errors import StorageError
from s3sftp.telemetry import current_trace_context

_MOST = 1 << 62
_Map = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RemoteSession(Session):
    """The session of a server in another process."""

    trace: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def trace_context(self) -> Mapping[str, str]:
        """The trace context of this process if it traces, or else the one that the server sent."""
        return current_trace_context() or self.trace


# plain values


def natural(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST:
        _wrong("a number that is not negative", value)
    return value


def number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        _wrong("a number", value)
    return value


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        _wrong("true or false", value)
    return value


def text(value: object) -> str:
    if not isinstance(value, str):
        _wrong("a text", value)
    return value


def binary(value: object) -> bytes:
    if not isinstance(value, bytes):
        _wrong("bytes", value)
    return value


def cursor(value: object) -> Cursor:
    if not isinstance(value, str | bytes | int):
        _wrong("a cursor: text, bytes or a number", value)
    return value


def texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        _wrong("a map of texts", value)
    return {text(name): text(each) for name, each in value.items()}


def or_nil(codec: Callable[[object], Any]) -> Callable[[object], Any]:
    return lambda value: None if value is None else codec(value)


_natural_or_nil = or_nil(natural)
_number_or_nil = or_nil(number)
_text_or_nil = or_nil(text)

# types of the contract


def place(value: object) -> Place:
    key = binary(value)
    try:
        return Place(tuple(key.split(b"/")) if key else ())
    except StorageError as error:
        raise MalformedMessage(f"no place: {error.detail}") from error


def file_info(value: object) -> FileInfo:
    given = _map(value)
    kind = given.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        _wrong(f"the kind {' or '.join(_KINDS)}", kind)
    return FileInfo(
        _KINDS[kind],
        natural(given.get("size") or 0),
        _number_or_nil(given.get("mtime")),
        _text_or_nil(given.get("version")),
        _natural_or_nil(given.get("mode")),
    )


_KINDS = {kind.value: kind for kind in Kind}


def of_file_info(info: FileInfo) -> _Map:
    whole = {
        "kind": info.kind.value,
        "size": info.size,
        "mtime": info.mtime,
        "version": None if info.version is None else plain(info.version),
        "mode": info.mode,
    }
    return {name: value for name, value in whole.items() if value is not None}


def session(value: object) -> RemoteSession:
    given = _map(value)
    return RemoteSession(
        user=text(given.get("user", "")),
        peer=text(given.get("peer", "")),
        client_version=text(given.get("client_version", "")),
        session_id=text(given.get("session_id", "")),
        attributes=MappingProxyType(texts(given.get("attributes", {}))),
        trace=MappingProxyType(texts(given.get("trace_context", {}))),
    )


def of_session(session: Session) -> _Map:
    return {
        "user": plain(session.user),
        "peer": plain(session.peer),
        "client_version": plain(session.client_version),
        "session_id": plain(session.session_id),
        "attributes": {plain(name): plain(value) for name, value in session.attributes.items()},
        "trace_context": dict(session.trace_context),
    }


def intent(value: object) -> WriteIntent:
    given = _map(value)
    return WriteIntent(
        flag(given.get("exclusive", False)),
        or_nil(file_info)(given.get("base")),
        _number_or_nil(given.get("mtime")),
    )


def of_intent(intent: WriteIntent) -> _Map:
    base = None if intent.base is None else of_file_info(intent.base)
    return {"exclusive": intent.exclusive, "base": base, "mtime": intent.mtime}


def finish(value: object) -> Finish:
    given = _map(value)
    mtime = _number_or_nil(given.get("mtime"))
    return Finish(natural(given.get("size")), mtime, flag(given.get("base_kept", True)))


def of_finish(finish: Finish) -> _Map:
    return {"size": finish.size, "mtime": finish.mtime, "base_kept": finish.base_kept}


# answers


def page(value: object) -> Page:
    given = _map(value)
    entries = given.get("entries")
    if not isinstance(entries, list):
        _wrong("a list of entries", entries)
    return Page([_entry(each) for each in entries], or_nil(cursor)(given.get("cursor")))


def _entry(value: object) -> Entry:
    name = binary(_map(value).get("name"))
    if b"/" in name or b"\0" in name or not name:
        _wrong("a name", name)
    return Entry(name, file_info(value))


def of_page(page: Page) -> _Map:
    entries = [{"name": bytes(entry.name), **of_file_info(entry.info)} for entry in page.entries]
    return {"entries": entries, "cursor": page.cursor}


def begun(value: object) -> UploadStarted:
    given = _map({} if value is None else value)
    sizes = [natural(given.get(name, default)) for name, default in _BEGUN.items()]
    found = UploadStarted(*sizes)
    if not (1 <= found.min_chunk_bytes <= found.chunk_bytes and 1 <= found.parallel_chunks <= 64):
        _wrong("1 ≤ min_chunk_bytes ≤ chunk_bytes and 1 ≤ parallel_chunks ≤ 64", given)
    if found.keep_unit_bytes < 1:
        _wrong("1 ≤ keep_unit_bytes", given)
    return found


_BEGUN = {"chunk_bytes": 1 << 20, "min_chunk_bytes": 1, "parallel_chunks": 1, "keep_unit_bytes": 1}


def of_begun(begun: UploadStarted) -> _Map:
    return {name: getattr(begun, name) for name in _BEGUN}


_USAGE = ("total_bytes", "used_bytes", "total_files", "used_files")


def usage(value: object) -> Usage:
    given = _map(value)
    return Usage(*(_natural_or_nil(given.get(name)) for name in _USAGE))


def of_usage(usage: Usage) -> _Map:
    return {name: getattr(usage, name) for name in _USAGE}


# by type


def _nothing(_: object) -> None:
    """Ignores the value where none is expected."""


FROM_WIRE: dict[Any, Callable[[object], Any]] = {
    Place: place,
    Session: session,
    WriteIntent: intent,
    Finish: finish,
    Buffer: binary,
    Cursor: cursor,
    Cursor | None: or_nil(cursor),
    str | None: _text_or_nil,
    int: natural,
    int | None: _natural_or_nil,
    float: number,
    bool: flag,
    bytes: binary,
    FileInfo: file_info,
    FileInfo | None: or_nil(file_info),
    Page: page,
    UploadStarted: begun,
    Usage: usage,
    None: _nothing,
}
"""The decoder of each type that a field of a message or an answer may be declared with."""

TO_WIRE: dict[type, Callable[[Any], object]] = {
    Place: lambda place: place.key,
    Session: of_session,
    RemoteSession: of_session,
    WriteIntent: of_intent,
    Finish: of_finish,
    str: plain,
    FileInfo: of_file_info,
    Page: of_page,
    UploadStarted: of_begun,
    Usage: of_usage,
}
"""The encoder of each class that msgpack has no type for."""


def _map(value: object) -> _Map:
    if not isinstance(value, dict):
        _wrong("a map", value)
    return value


def _wrong(wanted: str, found: object) -> NoReturn:
    raise MalformedMessage(f"{wanted} expected, not {found!r:.60}")

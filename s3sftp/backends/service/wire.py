"""Converts messages, answers and errors to maps and back. Pure.

    {"id": 7, "op": "file_info", "place": bin, "session": {…}}          to the service
    {"cancel": 7}                                                       to the service
    {"id": 7, "ok": …}   or   {"id": 7, "error": "ENOENT", "text": …, "detail": …}      from it

docs/backend-service.md describes the protocol on one page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields as fields_of
from typing import Any, get_type_hints

from s3sftp.backends.errno_map import error_from_oserror, error_from_posix_name, posix_name_of
from s3sftp.backends.service import codecs
from s3sftp.backends.service.codecs import FROM_WIRE, TO_WIRE
from s3sftp.backends.service.framing import MalformedMessage, plain
from s3sftp.backends.service.messages import MESSAGES, Message
from s3sftp.errors import StorageError, StorageFailure, Unsupported
from s3sftp.telemetry.logs import printable

_MAX_TEXT = 300

_FIELDS = {
    kind: {each.name: get_type_hints(kind)[each.name] for each in fields_of(kind)}  # type: ignore[arg-type]
    for kind in MESSAGES.values()
}
"""The fields of each message, with their declared types."""


def encode_request(number: int, message: Message) -> dict[str, Any]:
    """The map of a message."""
    values = {name: to_wire(getattr(message, name)) for name in _FIELDS[type(message)]}
    return {"id": number, "op": message.operation, **values}


def decode_request(request: dict[str, Any]) -> Message:
    """The message in a map.

    Raises MalformedMessage: if the map is not a message.
    Raises Unsupported: if the operation is unknown.
    """
    kind = MESSAGES.get(operation := codecs.text(request.get("op")))
    if kind is None:
        raise Unsupported(detail=f"no operation {operation!r:.60}")
    values = []
    for name, declared in _FIELDS[kind].items():
        try:
            values.append(FROM_WIRE[declared](request.get(name)))
        except MalformedMessage as error:
            raise MalformedMessage(f"{kind.operation}, {name}: {error}") from error
    return kind(*values)


def encode_answer(number: int, value: object) -> dict[str, Any]:
    """The map of an answer."""
    return {"id": number, "ok": to_wire(value)}


def decode_answer(answer: dict[str, Any], message: Message) -> object:
    """The value that the service answers a message with.

    Raises any StorageError: if the service answers with it.
    Raises StorageFailure: if the answer is malformed.
    """
    if "error" in answer:
        raise _error_in(answer)
    read: Callable[[object], object] = FROM_WIRE[message.answer]
    try:
        if "ok" not in answer:
            raise MalformedMessage("neither ok nor error")
        return read(answer["ok"])
    except MalformedMessage as error:
        raise StorageFailure(detail=f"bad answer to {message.operation}: {error}") from error


def encode_error(number: int, error: BaseException) -> dict[str, Any]:
    """The map of an error. The text of an unexpected error is only in its detail."""
    if isinstance(error, OSError):
        error = error_from_oserror(error)
    elif not isinstance(error, StorageError):
        error = StorageFailure(detail=f"{type(error).__name__}: {error}")
    found = {"id": number, "error": posix_name_of(error), "text": plain(str(error))}
    return found if error.detail is None else found | {"detail": plain(error.detail)}


def to_wire(value: object) -> object:
    convert = TO_WIRE.get(type(value))
    return value if convert is None else convert(value)


def _error_in(answer: dict[str, Any]) -> StorageError:
    name, text, detail = (answer.get(each) for each in ("error", "text", "detail"))
    if not isinstance(name, str):
        return StorageFailure(detail=f"the service's error has no name: {name!r:.60}")
    return error_from_posix_name(
        printable(name, 40),
        printable(text, _MAX_TEXT) if isinstance(text, str) and text else None,
        detail=detail if isinstance(detail, str) else None,
    )

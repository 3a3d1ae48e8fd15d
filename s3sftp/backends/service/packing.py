"""Encodes messages with msgpack: one map, with texts in UTF-8, and names and contents as bytes."""

from __future__ import annotations

from typing import Any

from s3sftp.errors import ConfigurationError

try:
    import msgpack
except ImportError:  # installed by the extra `service`
    msgpack = None


class MalformedMessage(Exception):
    """A message does not follow the protocol. The text is for the log."""


def require_msgpack() -> None:
    """Raises ConfigurationError: if msgpack is not installed."""
    if msgpack is None:
        raise ConfigurationError(
            ["a storage service needs msgpack, which is not installed: pip install 's3sftp[service]'"]
        )


def pack(value: dict[str, Any]) -> bytes:
    """Encode a map whose texts are `plain`."""
    packed: bytes = msgpack.packb(value)
    return packed


def unpack(data: bytes) -> dict[str, Any]:
    """Decode the map in a frame. Sizes are bounded by the length of `data`.

    Raises MalformedMessage: if it is anything else.
    """
    try:
        value = msgpack.unpackb(data)
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise MalformedMessage(f"not msgpack: {type(error).__name__}") from error
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise MalformedMessage("not a map with texts as keys")
    return value


def plain(text: str) -> str:
    """The text with everything that is not valid Unicode, such as undecodable bytes of a client, replaced by
    `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")

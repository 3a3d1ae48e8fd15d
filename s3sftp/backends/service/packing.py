"""msgpack, as the protocol uses it: one map, text that is UTF-8, names and contents that are bytes."""

from __future__ import annotations

from typing import Any

from s3sftp.errors import ConfigurationError

try:
    import msgpack
except ImportError:  # the extra `service` brings it
    msgpack = None


class MalformedMessage(Exception):
    """What came is not what the protocol says. The text is for the log."""


def require_msgpack() -> None:
    """Raises ConfigurationError when the library is not installed."""
    if msgpack is None:
        raise ConfigurationError(
            ["a storage service needs msgpack, which is not installed: pip install 's3sftp[service]'"]
        )


def pack(value: dict[str, Any]) -> bytes:
    """The bytes of a map whose texts are `plain`."""
    packed: bytes = msgpack.packb(value)
    return packed


def unpack(data: bytes) -> dict[str, Any]:
    """The map in a frame. Raises Malformed for anything else; sizes are bounded by `data`."""
    try:
        value = msgpack.unpackb(data)
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise MalformedMessage(f"not msgpack: {type(error).__name__}") from error
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise MalformedMessage("not a map with texts as keys")
    return value


def plain(text: str) -> str:
    """Text that can be sent: what is not Unicode in it, bytes that came from strangers, as `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")

"""The first message of each end of a connection: protocol version, frame limit and operations.

server     {"hello": "s3sftp-storage", "version": 1, "max_frame_bytes": …, "server": "s3sftp 0.1.0"}
service    {"hello": "s3sftp-storage", "version": 1, "max_frame_bytes": …, "service": "NAME",
            "callbacks": ["read_file_range", …], "first_chunk_bytes": … or nil}

The *callbacks* are the optional operations of the contract that the service offers.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from s3sftp import __version__
from s3sftp.backends.capabilities import examine
from s3sftp.backends.contract import Extras, RangedReads, StreamedWrites
from s3sftp.backends.operations import names_of
from s3sftp.backends.service import codecs
from s3sftp.backends.service.framing import MalformedMessage, plain
from s3sftp.backends.service.options import MIN_FRAME_BYTES
from s3sftp.telemetry.logs import printable

PROTOCOL = "s3sftp-storage"
VERSION = 1

RANGED_READS = frozenset(names_of(RangedReads))
STREAMED_WRITES = frozenset(names_of(StreamedWrites))
EVERYTHING = RANGED_READS | STREAMED_WRITES | frozenset(names_of(Extras))
"""All optional operations. A service with none of them gets whole files, which the server holds in its spool
until they are complete."""


def callbacks_of(backend: object) -> frozenset[str]:
    """The optional operations that a `Backend` object has.

    Raises ConfigurationError: if the object does not fit the contract; the error lists all problems.
    """
    can = examine(backend)
    ranged = RANGED_READS if can.ranged_reads else frozenset()
    return can.extras | ranged | (STREAMED_WRITES if can.streamed_writes else frozenset())


def callback_problem(callbacks: Collection[str]) -> str | None:
    """The problem with a choice of callbacks; None if there is none."""
    if unknown := sorted(set(callbacks) - EVERYTHING):
        return f"unknown callbacks: {', '.join(unknown)}"
    given = STREAMED_WRITES & set(callbacks)
    if given and given != STREAMED_WRITES:
        return f"of the four callbacks for streaming, {', '.join(sorted(STREAMED_WRITES - given))} is missing"
    if "keep_range" in callbacks and not given:
        return "keep_range needs begin_write, write_chunk, finish_write and abort_write"
    return None


@dataclass(frozen=True, slots=True)
class ServerHello:
    max_frame_bytes: int

    def to_map(self) -> dict[str, Any]:
        return _common(self.max_frame_bytes) | {"server": f"s3sftp {__version__}"}

    @classmethod
    def of(cls, given: dict[str, Any]) -> ServerHello:
        """Raises MalformedMessage: if the map is not a server's hello."""
        return cls(_checked(given))


@dataclass(frozen=True, slots=True)
class ServiceHello:
    max_frame_bytes: int
    name: str = "service"
    callbacks: frozenset[str] = frozenset()
    first_chunk_bytes: int | None = None

    def to_map(self) -> dict[str, Any]:
        return _common(self.max_frame_bytes) | {
            "service": plain(self.name),
            "callbacks": sorted(self.callbacks),
            "first_chunk_bytes": self.first_chunk_bytes,
        }

    @classmethod
    def of(cls, given: dict[str, Any]) -> ServiceHello:
        """Raises MalformedMessage: if the map is not a service's hello, or its callbacks do not belong
        together."""
        most = _checked(given)
        listed = given.get("callbacks", [])
        if not isinstance(listed, list):
            raise MalformedMessage(f"callbacks should be a list of texts, not {listed!r:.60}")
        callbacks = frozenset(codecs.text(each) for each in listed)
        if problem := callback_problem(callbacks):
            raise MalformedMessage(problem)
        first = codecs.or_nil(codecs.natural)(given.get("first_chunk_bytes")) or None
        return cls(most, printable(codecs.text(given.get("service", "service")), 40), callbacks, first)


def _common(max_frame_bytes: int) -> dict[str, Any]:
    return {"hello": PROTOCOL, "version": VERSION, "max_frame_bytes": max_frame_bytes}


def _checked(given: dict[str, Any]) -> int:
    if given.get("hello") != PROTOCOL:
        raise MalformedMessage(f"does not speak {PROTOCOL}")
    if given.get("version") != VERSION:
        raise MalformedMessage(
            f"speaks version {given.get('version')!r:.20} of {PROTOCOL}, this is {VERSION}"
        )
    most = codecs.natural(given.get("max_frame_bytes"))
    if most < MIN_FRAME_BYTES:
        raise MalformedMessage(f"max_frame_bytes is {most}, should be at least {MIN_FRAME_BYTES}")
    return most

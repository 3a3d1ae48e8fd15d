"""The keys and the content of the outbox's entries. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from s3sftp.backends import Place
from s3sftp.events.cloud_event import CloudEvent

LEASES: Final = "leases/"
ENTRIES: Final = "entries/"
REFUSED: Final = "refused/"
CHANGES: Final = "_changes"
"""The folder of changes; no sink has this name."""
_FORMAT: Final = 1
_MICRO: Final = 1_000_000


def change_folder(instance: str) -> str:
    """The prefix of the changes that an instance has begun."""
    return f"{ENTRIES}{instance}/{CHANGES}/"


def sink_folder(instance: str, sink: str) -> str:
    """The prefix of the events that wait for a sink."""
    return f"{ENTRIES}{instance}/{sink}/"


def refused_folder(sink: str) -> str:
    """The prefix of the events that a sink has refused."""
    return f"{REFUSED}{sink}/"


def entry_name(event: CloudEvent) -> str:
    """The last part of an entry's key: entries are listed in the order of their events' times."""
    return f"{int(event.time * _MICRO):016d}-{event.id}"


def id_in(key: str) -> str:
    """The id of the event in an entry with this key."""
    return key.rpartition("/")[2].partition("-")[2]


def time_in(key: str) -> float:
    """When the event in an entry with this key happened, in seconds since the epoch; 0 if it is no entry."""
    digits = key.rpartition("/")[2].partition("-")[0]
    return int(digits) / _MICRO if digits.isascii() and digits.isdigit() else 0.0


@dataclass(frozen=True, slots=True)
class AddressedEvent:
    """One event, and the sinks that receive it."""

    event: CloudEvent
    sinks: Sequence[str]


@dataclass(frozen=True, slots=True)
class Check:
    """How to find out whether a change has happened, if the process that began it has ended."""

    action: Literal["commit", "remove", "rename", "rename_directory"]
    place: Place
    """Where the file is committed or removed; the source of a rename."""
    target: Place | None = None
    mark: str | None = None
    """The mark that the committed file carries, see `Upload.mark`."""
    version: str | None = None
    """The version of the file that is removed or renamed, as it was before."""
    size: int | None = None


@dataclass(frozen=True, slots=True)
class ChangeEntry:
    """A change that is about to be made, and who is to learn of it if it is."""

    deliveries: Sequence[AddressedEvent]
    check: Check

    def to_json(self) -> bytes:
        fields = {
            "format": _FORMAT,
            "deliveries": [
                {"event": _event_fields(each.event), "sinks": list(each.sinks)} for each in self.deliveries
            ],
            "check": {
                "action": self.check.action,
                "place": _place_fields(self.check.place),
                "target": None if self.check.target is None else _place_fields(self.check.target),
                "mark": self.check.mark,
                "version": self.check.version,
                "size": self.check.size,
            },
        }
        return json.dumps(fields).encode("ascii")

    @classmethod
    def from_json(cls, text: bytes) -> ChangeEntry:
        """Read what `to_json` wrote. Raises ValueError: if it is no such entry."""
        fields = _fields_of(text)
        try:
            check = fields["check"]
            target = check["target"]
            return cls(
                [
                    AddressedEvent(_event_of(each["event"]), list(each["sinks"]))
                    for each in fields["deliveries"]
                ],
                Check(
                    check["action"],
                    _place_of(check["place"]),
                    None if target is None else _place_of(target),
                    check["mark"],
                    check["version"],
                    check["size"],
                ),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it lacks something: {error}") from error


@dataclass(frozen=True, slots=True)
class WaitingEntry:
    """An event that waits for one sink, or that the sink has refused."""

    event: CloudEvent
    attempts: int = 0
    reason: str | None = None
    """The last failure."""

    def to_json(self) -> bytes:
        fields = {
            "format": _FORMAT,
            "event": _event_fields(self.event),
            "attempts": self.attempts,
            "reason": self.reason,
        }
        return json.dumps(fields).encode("ascii")

    @classmethod
    def from_json(cls, text: bytes) -> WaitingEntry:
        """Read what `to_json` wrote. Raises ValueError: if it is no such entry."""
        fields = _fields_of(text)
        try:
            return cls(_event_of(fields["event"]), int(fields["attempts"]), fields["reason"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"it lacks something: {error}") from error


def _fields_of(text: bytes) -> dict[str, Any]:
    fields = json.loads(text)
    if not isinstance(fields, dict) or fields.get("format") != _FORMAT:
        raise ValueError("it is no entry of an outbox, or one of a newer release")
    return fields


def _event_fields(event: CloudEvent) -> object:
    return json.loads(event.to_json())


def _event_of(fields: object) -> CloudEvent:
    return CloudEvent.from_json(json.dumps(fields).encode())


def _place_fields(place: Place) -> dict[str, object]:
    return {
        "storage": place.storage,
        "names": [name.decode("utf-8", "surrogateescape") for name in place.names],
    }


def _place_of(fields: dict[str, Any]) -> Place:
    names = tuple(name.encode("utf-8", "surrogateescape") for name in fields["names"])
    return Place(names, fields["storage"])

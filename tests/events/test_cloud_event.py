"""An event's JSON is CloudEvents 1.0, and reads back as it was."""

from __future__ import annotations

import json

import pytest

from s3sftp.backends import Place
from s3sftp.events.cloud_event import CloudEvent, EventKind
from s3sftp.events.outbox.entries import AddressedEvent, ChangeEntry, Check, WaitingEntry
from s3sftp.events.routes import Routes, SinkRule

EVENT = CloudEvent(
    "1", EventKind.UPLOAD_COMMITTED, "urn:s", "/ü.csv", 1.25, {"size": 3, "key": "a/ü"}, "00-ab-cd-01"
)


def test_an_event_has_the_attributes_of_cloudevents_and_reads_back() -> None:
    fields = json.loads(EVENT.to_json())
    assert fields == {
        "specversion": "1.0",
        "id": "1",
        "source": "urn:s",
        "type": "s3sftp.upload.committed",
        "subject": "/ü.csv",
        "time": "1970-01-01T00:00:01.250000Z",
        "datacontenttype": "application/json",
        "traceparent": "00-ab-cd-01",
        "data": {"size": 3, "key": "a/ü"},
    }
    assert CloudEvent.from_json(EVENT.to_json()) == EVENT


def test_a_name_that_is_not_utf_8_becomes_valid_json() -> None:
    event = CloudEvent("1", EventKind.FILE_REMOVED, "urn:s", "/a\udcff", 1.0, {})
    assert json.loads(event.to_json().decode("utf-8"))["subject"] == "/a\ufffd"


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{}", b'{"specversion":"2.0"}', b'{"specversion":"1.0","id":1}', EVENT.to_json()[:-1]],
)
def test_what_is_no_event_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        CloudEvent.from_json(text)


def test_entries_read_back() -> None:
    place = Place((b"a", b"\xff"), "archive")
    change = ChangeEntry([AddressedEvent(EVENT, ["x"])], Check("rename", place, Place((b"b",)), "m", "v", 3))
    assert ChangeEntry.from_json(change.to_json()) == change
    waiting = WaitingEntry(EVENT, 3, "down")
    assert WaitingEntry.from_json(waiting.to_json()) == waiting
    for wrong in (b"{}", b"x", waiting.to_json()):
        with pytest.raises(ValueError, match=r"."):
            ChangeEntry.from_json(wrong)


def test_sinks_receive_what_their_kinds_and_paths_say() -> None:
    csv = SinkRule("csv", frozenset({EventKind.UPLOAD_COMMITTED}), ("*.csv",))
    logins = SinkRule("logins", frozenset({EventKind.LOGIN_FAILED}), ("*.csv",))
    routes = Routes([csv, logins], ("*.filepart",))
    assert routes.of(EventKind.UPLOAD_COMMITTED, "/in/a.CSV") == ("csv",)
    assert routes.of(EventKind.UPLOAD_COMMITTED, "/in/a.txt") == ()
    assert routes.of(EventKind.LOGIN_FAILED, None) == ("logins",)
    assert not routes.wants(EventKind.FILE_REMOVED)
    assert routes.of_rename("/a.csv.filepart", "/a.csv", is_dir=False).committed == ("csv",)
    assert routes.of_rename("/a.csv", "/b.csv", is_dir=False).committed == ()
    assert routes.of_rename("/a.d", "/a.csv", is_dir=True).committed == ()

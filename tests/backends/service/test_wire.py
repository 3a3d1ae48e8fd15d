"""Messages and answers as bytes: they come as they were sent; nothing is believed before it was looked at."""

from __future__ import annotations

import string
from contextlib import suppress
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3sftp.backends import Entry, FileInfo, Finish, Kind, Place, Session, Usage, WriteIntent
from s3sftp.backends.errno_map import ERROR_OF_NAME, posix_name_of
from s3sftp.backends.service import wire
from s3sftp.backends.service.framing import MalformedMessage, pack, unpack
from s3sftp.backends.service.messages import MESSAGES, Message, Page, UploadStarted
from s3sftp.errors import StorageError, StorageFailure, Unsupported

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
names = st.binary(min_size=1, max_size=20).filter(
    lambda name: name not in (b".", b"..") and not {47, 0} & set(name)
)
places = st.builds(Place, st.lists(names, max_size=4).map(tuple))
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
sizes = st.integers(0, 1 << 62)
times = st.none() | st.floats(allow_nan=False, allow_infinity=False)
infos = st.builds(FileInfo, st.sampled_from(Kind), sizes, times, st.none() | texts, st.none() | sizes)
cursors = texts | st.binary(max_size=20) | sizes
sessions = st.builds(
    Session, texts, texts, texts, texts, st.dictionaries(texts, texts, max_size=3).map(MappingProxyType)
)
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "Place": places,
    "Session": sessions,
    "WriteIntent": st.builds(WriteIntent, st.booleans(), st.none() | infos, times),
    "Finish": st.builds(Finish, sizes, times, st.booleans()),
    "Buffer": st.binary(max_size=50),
    "Cursor": cursors,
    "Cursor | None": st.none() | cursors,
    "str | None": st.none() | texts,
    "int": sizes,
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "bool": st.booleans(),
}
messages = st.one_of(
    *(
        st.builds(kind, *(_FIELDS[each.type] for each in fields(kind)))  # type: ignore[arg-type, index]
        for kind in MESSAGES.values()
    )
)
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | texts
    | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(texts | st.binary(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
ANSWERS: dict[str, st.SearchStrategy[Any]] = {
    "file_info": infos,
    "list_dir": st.builds(Page, st.lists(st.builds(Entry, names, infos), max_size=3), st.none() | cursors),
    "read_file": st.binary(max_size=50),
    "write_file": st.none() | infos,
    "begin_write": st.builds(
        UploadStarted, st.integers(1 << 20, 1 << 40), st.integers(1, 1 << 20), st.integers(1, 64)
    ),
    "write_chunk": st.none() | sizes,
    "finish_write": st.none() | infos,
    "set_mtime": st.booleans(),
    "usage": st.builds(Usage, *[st.none() | sizes] * 4),
    "delete": st.none(),
}


@PATIENT
@given(messages)
def test_a_message_comes_as_it_was_sent(message: Message) -> None:
    came = wire.decode_request(unpack(pack(wire.encode_request(7, message))))
    session = came.session
    assert {each.name: getattr(session, each.name) for each in fields(Session)} == {
        each.name: getattr(message.session, each.name) for each in fields(Session)
    }
    assert replace(came, session=message.session) == message  # type: ignore[type-var]


@PATIENT
@given(st.data(), messages)
def test_an_answer_comes_as_it_was_given(data: st.DataObject, message: Message) -> None:
    if message.operation in ANSWERS:
        value = data.draw(ANSWERS[message.operation])
        assert wire.decode_answer(unpack(pack(wire.encode_answer(7, value))), message) == value


@PATIENT
@given(messages, st.dictionaries(st.sampled_from(["ok", "error", "text", "detail"]), anything))
def test_an_answer_that_makes_no_sense_is_a_storage_error(message: Message, answer: dict[str, Any]) -> None:
    try:
        wire.decode_answer({"id": 7, **answer}, message)
    except StorageError as error:
        assert all(each in string.printable or each.isprintable() for each in str(error))


@PATIENT
@given(messages, st.data())
def test_a_request_that_makes_no_sense_is_told_apart(message: Message, data: st.DataObject) -> None:
    request = wire.encode_request(7, message)
    name = data.draw(st.sampled_from(sorted(request)))
    broken = request | {name: data.draw(anything)}
    with suppress(MalformedMessage, Unsupported):
        wire.decode_request(broken)


@PATIENT
@given(st.binary(max_size=200))
def test_bytes_that_are_no_map_are_refused(frame: bytes) -> None:
    with suppress(MalformedMessage):
        unpack(frame)


@PATIENT
@given(anything)
def test_whatever_is_packed_is_a_map_with_texts_as_keys_or_refused(value: Any) -> None:
    try:
        found = unpack(msgpack.packb(value))
    except MalformedMessage:
        return
    assert all(isinstance(key, str) for key in found)


@pytest.mark.parametrize("name", ["a/../b", "..", ".", "/a", "a//b", "a/", "a\0b"])
def test_no_path_leads_out_of_the_root(name: str) -> None:
    request = {"id": 1, "op": "file_info", "place": name.encode(), "session": {}}
    with pytest.raises(MalformedMessage, match="place"):
        wire.decode_request(request)


@pytest.mark.parametrize("name", ["", "a/b", "a\0b"])
def test_no_entry_of_a_listing_has_a_name_that_is_none(name: str) -> None:
    message = wire.decode_request({"id": 1, "op": "list_dir", "place": b"", "session": {}})
    answer = {"id": 1, "ok": {"entries": [{"name": name.encode(), "kind": "file"}], "cursor": None}}
    with pytest.raises(StorageFailure):
        wire.decode_answer(answer, message)


@pytest.mark.parametrize("name", sorted(ERROR_OF_NAME))
def test_every_name_of_an_error_means_what_posix_means(name: str) -> None:
    message = wire.decode_request({"id": 1, "op": "delete", "place": b"a", "session": {}})
    with pytest.raises(ERROR_OF_NAME[name]) as raised:
        wire.decode_answer({"id": 1, "error": name}, message)
    assert ERROR_OF_NAME[posix_name_of(raised.value)] is ERROR_OF_NAME[name]


def test_the_trace_of_the_server_s_operation_reaches_the_service() -> None:
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    request = {"id": 1, "op": "file_info", "place": b"", "session": {"trace_context": trace}}
    came = wire.decode_request(request)
    assert came.session.trace_context == trace
    assert wire.encode_request(1, came)["session"]["trace_context"] == trace


def test_text_that_is_no_unicode_is_sent_all_the_same() -> None:
    session = Session("al\udcffice", attributes={"k\udcff": "v\udcff"})
    message = wire.decode_request({"id": 1, "op": "file_info", "place": b"", "session": {}})
    request = wire.encode_request(1, replace(message, session=session))  # type: ignore[type-var]
    assert wire.decode_request(unpack(pack(request))).session.user == "al?ice"

"""What a backend may answer: the types of the contract pass, and anything else is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from mmap import mmap
from typing import Any

import pytest

from s3sftp.backends.contract import Buffer, Entry, FileInfo, Upload, Usage
from s3sftp.backends.validation import CHECKS, InvalidResult

FILE = FileInfo.file(1, mtime=1.5, version="v", mode=0o644)
UPLOAD = Upload()


def changed(value: Any, **fields: object) -> Any:
    """A copy in which fields have values that their types forbid."""
    return replace(value, **fields)


def upload(**numbers: object) -> Upload:
    """One whose numbers are wrong."""
    wrong = Upload()
    vars(wrong).update(numbers)
    return wrong


RIGHT: list[tuple[Any, object]] = [
    (FileInfo, FILE),
    (FileInfo, FileInfo.directory()),
    (FileInfo, FileInfo.file(0)),
    (FileInfo | None, None),
    (Sequence[Entry], []),
    (Sequence[Entry], (Entry(b"\xff", FILE), Entry(b" ", FileInfo.directory()))),
    (Buffer, b""),
    (Buffer, bytearray(b"x")),
    (Upload, UPLOAD),
    (bool, False),
    (type(None), None),
    (type(None), "whatever a method that returns nothing returns"),
]


@pytest.mark.parametrize(("type_", "value"), RIGHT)
def test_what_the_contract_says_passes(type_: Any, value: object) -> None:
    expected = None if type_ is type(None) else value
    assert CHECKS[type_](value) == expected


WRONG: list[tuple[Any, Callable[[], object], str]] = [
    (FileInfo, lambda: None, "its answer is NoneType None, and should be a FileInfo"),
    (FileInfo, lambda: {"size": 1}, "should be a FileInfo"),
    (FileInfo, lambda: changed(FILE, kind="file"), "FileInfo.kind is str 'file'"),
    (FileInfo, lambda: changed(FILE, size=-1), "FileInfo.size is int -1"),
    (FileInfo, lambda: changed(FILE, size=1.0), "FileInfo.size is float"),
    (FileInfo, lambda: changed(FILE, size=True), "FileInfo.size is bool"),
    (FileInfo, lambda: changed(FILE, mtime="now"), "FileInfo.mtime is str"),
    (FileInfo, lambda: changed(FILE, version=1), "FileInfo.version is int"),
    (FileInfo, lambda: changed(FILE, mode="rw"), "FileInfo.mode is str"),
    (FileInfo | None, lambda: 0, "should be a FileInfo"),
    (Sequence[Entry], lambda: Entry(b"a", FILE), "should be a page: a list of Entry"),
    (Sequence[Entry], lambda: "ab", "should be a page"),
    (Sequence[Entry], lambda: [b"a"], "an item of the page is bytes b'a', and should be an Entry"),
    (Sequence[Entry], lambda: [changed(Entry(b"a", FILE), name="a")], "Entry.name is str 'a'"),
    (Sequence[Entry], lambda: [Entry(b"", FILE)], "Entry.name is bytes b''"),
    (Sequence[Entry], lambda: [Entry(b"a/b", FILE)], "Entry.name is bytes b'a/b'"),
    (Sequence[Entry], lambda: [Entry(b"a\0", FILE)], "and should be bytes without '/' and NUL"),
    (Sequence[Entry], lambda: [changed(Entry(b"a", FILE), info=None)], "should be a FileInfo"),
    (Buffer, lambda: "text", "its answer is str 'text', and should be bytes"),
    (Buffer, lambda: [1, 2], "its answer is list"),
    (Upload, lambda: object(), "and should be an Upload"),
    (Upload, lambda: upload(chunk_bytes=0), "Upload.chunk_bytes is int 0"),
    (Upload, lambda: upload(parallel_chunks=None), "Upload.parallel_chunks is NoneType"),
    (Usage, lambda: 5, "and should be a Usage"),
    (bool, lambda: 1, "and should be True or False"),
]


@pytest.mark.parametrize(("type_", "make", "said"), WRONG, ids=[said for _, _, said in WRONG])
def test_anything_else_is_refused_by_name(type_: Any, make: Callable[[], object], said: str) -> None:
    with pytest.raises(InvalidResult) as refused:
        CHECKS[type_](make())
    assert said in str(refused.value)


def test_bytes_of_other_kinds_become_views_of_bytes() -> None:
    numbers = memoryview(bytes(8)).cast("I")
    assert CHECKS[Buffer](numbers) == bytes(8)
    assert CHECKS[Buffer](numbers).format == "B"
    with mmap(-1, 4) as mapped, CHECKS[Buffer | mmap](mapped) as view:
        assert bytes(view) == bytes(4)


def test_the_storage_failure_names_the_backend_and_the_method() -> None:
    failure = InvalidResult(1, "a FileInfo").of("Mine", "file_info")
    assert failure.lasting
    assert failure.detail == "file_info of backend Mine: its answer is int 1, and should be a FileInfo"

"""An object has the Content-Type of the file's name, and keeps it."""

from __future__ import annotations

import pytest

from s3sftp.backends.contract import Place
from s3sftp.backends.s3 import S3Backend
from s3sftp.backends.s3.metadata.content_types import content_type
from tests.backends.s3.conftest import ALICE, PART, Opener, place
from tests.backends.s3.upload_driver import data_of, put
from tests.support.s3_client import S3


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("report.csv", "text/csv"),
        ("REPORT.CSV", "text/csv"),
        ("d.d/report", None),
        ("a.b.json", "application/json"),
        ("index.html", "text/html"),
        ("sheet.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("data:text.pdf", "application/pdf"),
        (".csv", None),
        ("nothing.known", None),
        ("directory.csv/", None),
    ],
)
def test_the_ending_of_the_name_tells(name: str, kind: str | None) -> None:
    assert content_type(f"tenant/{name}") == kind


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.csv.gz", "a.svgz"])
def test_what_is_compressed_is_that_and_not_what_is_in_it(name: str) -> None:
    assert content_type(name) == "application/gzip"


@pytest.mark.parametrize(
    "name",
    [
        "report.csv.filepart",
        "report.csv.partial",
        "report.csv.1a2b3c4d.partial",
        "report.csv.part",
        "report.csv.tmp",
        ".report.csv.aB3x9Z",
    ],
)
def test_a_name_under_which_it_is_only_uploaded_tells_what_it_will_be(name: str) -> None:
    """WinSCP, rclone, scripts and rsync rename it when it is whole."""
    assert content_type(name) == "text/csv"


@pytest.mark.parametrize("store", ["seaweed", "moto"], indirect=True)
@pytest.mark.parametrize("size", [10, PART + 10], ids=["one request", "parts"])
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "relayed"])
async def test_an_object_has_the_type_of_its_name_and_a_rename_keeps_it(
    open_backend: Opener, s3: S3, size: int, direct: bool
) -> None:
    backend = await open_backend(direct_requests=direct)
    await put(backend, "d/f.csv.filepart", data_of(size))
    assert (await s3.head("tenant/d/f.csv.filepart"))["ContentType"] == "text/csv"
    await backend.rename(place("d/f.csv.filepart"), place("d/f.txt"), ALICE, overwrite=True)
    head = await s3.head("tenant/d/f.txt")
    assert head["ContentType"] == "text/csv"
    assert not head.get("ContentEncoding")


async def test_it_survives_a_late_time_and_a_copy_in_parts(open_backend: Opener, s3: S3) -> None:
    backend = await open_backend(copy_part_bytes=PART)
    await put(backend, "f.pdf", data_of(PART + 10))
    await backend.set_mtime(place("f.pdf"), 1e9, ALICE)
    await backend.rename(place("f.pdf"), place("g"), ALICE, overwrite=True)
    assert (await s3.head("tenant/g"))["ContentType"] == "application/pdf"


async def test_by_an_option_it_is_left_to_the_store(open_backend: Opener, s3: S3) -> None:
    backend = await open_backend(content_types=False)
    await put(backend, "f.csv", b"1,2")
    assert (await s3.head("tenant/f.csv"))["ContentType"] != "text/csv"


async def test_a_name_that_is_not_utf_8_has_a_type_too(backend: S3Backend, s3: S3) -> None:
    upload = await backend.write_file(Place((b"caf\xe9.csv",)), b"1,2", ALICE)
    assert upload.size == 3
    [key] = await s3.keys()
    assert (await s3.head(key))["ContentType"] == "text/csv"

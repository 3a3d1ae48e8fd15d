"""Objects say who stored them, if the operator wants that, at no cost."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote

import pytest
from pydantic import ValidationError

from s3sftp.backends.contract import Finish, Session, WriteIntent
from s3sftp.backends.s3 import S3Options
from s3sftp.backends.s3.metadata.owner import owner_metadata
from testbed.s3_store import Store
from tests.backends.s3.conftest import ALICE, PART, Opener, place
from tests.backends.s3.upload_driver import data_of
from tests.support.clients import Clients
from tests.support.fault_proxy import FaultProxy
from tests.support.s3_client import S3
from tests.support.server import Server

OWNER = Session("alice", peer="192.0.2.7:50022", session_id="3f2a")
NAMES = {"s3sftp-user": "alice", "s3sftp-session": "3f2a", "s3sftp-peer": "192.0.2.7:50022"}


async def owners_of(s3: S3, key: str) -> dict[str, str]:
    """What an object says of who stored it."""
    metadata = (await s3.head(f"tenant/{key}"))["Metadata"]
    return {name: metadata[name] for name in NAMES if name in metadata}


@pytest.mark.parametrize("size", [0, 10, PART + 10], ids=["empty", "small", "in parts"])
@pytest.mark.parametrize("store", ["seaweed", "moto"], indirect=True)
async def test_an_object_keeps_who_stored_it_through_a_rename_a_copy_and_a_late_time(
    open_backend: Opener, s3: S3, size: int
) -> None:
    backend = await open_backend(owner_metadata=True)
    upload = await backend.begin_write(place("f"), WriteIntent(), OWNER)
    data = data_of(size)
    while len(data) > upload.chunk_bytes:
        chunk, data = data[: upload.chunk_bytes], data[upload.chunk_bytes :]
        await backend.write_chunk(upload, chunk, OWNER)
    await backend.finish_write(upload, data, Finish(size), OWNER)
    assert await owners_of(s3, "f") == NAMES
    other = Session("bob", peer="192.0.2.8:1", session_id="77")
    await backend.rename(place("f"), place("g"), other, overwrite=False)
    await backend.copy(place("g"), place("h"), other, version=None)
    await backend.set_mtime(place("g"), 1000, other)
    assert (await s3.head("tenant/g"))["Metadata"]["mtime"] == "1000"
    assert [await owners_of(s3, key) for key in ("g", "h")] == [NAMES, NAMES]


async def test_without_the_option_an_object_says_nothing(open_backend: Opener, s3: S3) -> None:
    backend = await open_backend()
    await backend.write_file(place("f"), b"x", OWNER)
    assert await owners_of(s3, "f") == {}


async def test_it_costs_no_request(open_backend: Opener, proxy: FaultProxy) -> None:
    counts = []
    for wanted in (False, True):
        backend = await open_backend(owner_metadata=wanted)
        before = len(proxy.log)
        await backend.write_file(place(f"f-{wanted}"), b"x", OWNER)
        counts.append(len(proxy.log) - before)
    assert counts[0] == counts[1]


async def test_a_name_that_is_not_ascii_is_percent_encoded(open_backend: Opener, s3: S3) -> None:
    backend = await open_backend(owner_metadata=True)
    await backend.write_file(place("f"), b"x", Session("zoë 50%\n", session_id="1"))
    found = await owners_of(s3, "f")
    assert found == {"s3sftp-user": "zo%C3%AB%2050%25%0A", "s3sftp-session": "1"}
    assert unquote(found["s3sftp-user"]) == "zoë 50%\n"


def test_readable_names_stay_as_they_are() -> None:
    session = Session("a.b_c-d@example.com+x", peer="[2001:db8::1]:22")
    assert owner_metadata(session) == {
        "s3sftp-user": "a.b_c-d@example.com+x",
        "s3sftp-peer": "[2001:db8::1]:22",
    }


async def test_directories_belong_to_nobody(open_backend: Opener, s3: S3) -> None:
    backend = await open_backend(owner_metadata=True)
    await backend.make_dir(place("d"), ALICE)
    assert await owners_of(s3, "d/") == {}


def test_metadata_of_the_options_may_not_claim_the_names() -> None:
    metadata = {"S3sftp-User": "me"}
    assert S3Options(bucket="files", metadata=metadata).metadata == {"s3sftp-user": "me"}
    with pytest.raises(ValidationError, match="metadata may not set s3sftp-user with owner_metadata = true"):
        S3Options(bucket="files", metadata=metadata, owner_metadata=True)


async def test_a_file_of_a_real_client_names_its_user_session_and_address(
    seaweed: Store, bucket: str, s3: S3, tmp_path: Path
) -> None:
    server = Server(tmp_path / "server", seaweed, bucket, {"s3": {"owner_metadata": True}})
    await server.astart()
    try:
        (tmp_path / "report.csv").write_bytes(b"1;2\n")
        os.utime(tmp_path / "report.csv", (1000, 1000))
        clients = Clients(server, tmp_path / "home")
        lines = [f"put -p {tmp_path}/report.csv report.tmp", "rename report.tmp report.csv"]
        (await clients.sftp(*lines)).ok()
        metadata = (await s3.head("alice/report.csv"))["Metadata"]
        sessions = {(event["session"], event.get("peer")) for event in server.events() if "session" in event}
    finally:
        server.close()
    assert (metadata["s3sftp-user"], metadata["mtime"]) == ("alice", "1000")
    assert metadata["s3sftp-session"] in {session for session, _ in sessions}
    assert metadata["s3sftp-peer"].startswith("127.0.0.1:")

"""paramiko: pipelined writes of 32 KiB, a STAT that must show the exact size, modes such as `w+`."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Callable
from typing import TypeVar

import paramiko
import pytest

from tests.support.client_workspace import ClientWorkspace, content

BIG = 12_345_678

T = TypeVar("T")


async def test_put_is_confirmed_and_get_has_it_back(desk: ClientWorkspace) -> None:
    file = desk.file("x", BIG)

    def work(sftp: paramiko.SFTPClient) -> None:
        assert sftp.put(str(file), f"{desk.remote}/x", confirm=True).st_size == BIG
        sftp.get(f"{desk.remote}/x", f"{file}.back")

    await _with_paramiko(desk, work)
    assert (desk.local / "x.back").read_bytes() == await desk.body("x") == content(BIG)


@pytest.mark.parametrize("size", [1000, 6_000_000])
async def test_append(desk: ClientWorkspace, size: int) -> None:
    await desk.put("log", content(size))

    def work(sftp: paramiko.SFTPClient) -> None:
        with sftp.open(f"{desk.remote}/log", "ab") as file:
            file.write(b"one")
            file.write(b"two")

    await _with_paramiko(desk, work)
    assert await desk.body("log") == content(size) + b"onetwo"


async def test_append_makes_a_file_that_was_not_there(desk: ClientWorkspace) -> None:
    def work(sftp: paramiko.SFTPClient) -> None:
        with sftp.open(f"{desk.remote}/log", "ab") as file:
            file.write(b"first")

    await _with_paramiko(desk, work)
    assert await desk.body("log") == b"first"


async def test_what_w_plus_wrote_can_be_read_before_the_file_is_closed(desk: ClientWorkspace) -> None:
    await desk.put("x", b"old and longer than the new one")

    def work(sftp: paramiko.SFTPClient) -> bytes:
        with sftp.open(f"{desk.remote}/x", "w+b") as file:
            file.write(b"hello world")
            file.seek(6)
            return bytes(file.read())

    assert await _with_paramiko(desk, work) == b"world"
    assert await desk.body("x") == b"hello world"


async def test_r_plus_changes_bytes_in_the_middle(desk: ClientWorkspace) -> None:
    await desk.put("x", b"0123456789")

    def work(sftp: paramiko.SFTPClient) -> None:
        with sftp.open(f"{desk.remote}/x", "r+b") as file:
            file.write(b"AB")
            file.flush()

    await _with_paramiko(desk, work)
    assert await desk.body("x") == b"AB23456789"


async def test_exclusive_creation_fails_when_the_file_is_there(desk: ClientWorkspace) -> None:
    await desk.put("x", b"old")

    def work(sftp: paramiko.SFTPClient) -> None:
        with pytest.raises(OSError, match="exists"):
            sftp.open(f"{desk.remote}/x", "wxb").close()
        with sftp.open(f"{desk.remote}/new", "wxb") as file:
            file.write(b"new")

    await _with_paramiko(desk, work)
    assert (await desk.body("x"), await desk.body("new")) == (b"old", b"new")


async def test_blocks_out_of_order_are_put_in_order(desk: ClientWorkspace) -> None:
    size, block = 7_000_000, 32_768
    data = content(size)
    starts = list(range(0, size, block))
    # as far out of order as a client that has 64 requests in flight can be
    shuffled = random.Random(7)
    for first in range(0, len(starts), 64):
        window = starts[first : first + 64]
        shuffled.shuffle(window)
        starts[first : first + 64] = window

    def work(sftp: paramiko.SFTPClient) -> None:
        with sftp.open(f"{desk.remote}/x", "wb") as file:
            file.set_pipelined(True)
            for start in starts:
                file.seek(start)
                file.write(data[start : start + block])

    await _with_paramiko(desk, work)
    assert await desk.body("x") == data


async def test_a_file_that_is_being_written_shows_its_size_and_is_not_there_for_s3(
    desk: ClientWorkspace,
) -> None:
    def begin(sftp: paramiko.SFTPClient) -> None:
        with sftp.open(f"{desk.remote}/x", "wb") as file:
            file.write(b"12345")
            assert file.stat().st_size == 5
            assert sftp.stat(f"{desk.remote}/x").st_size == 5
            assert "x" not in [
                key.rsplit("/", 1)[-1]
                for key in asyncio.run_coroutine_threadsafe(desk.keys(), loop).result(20)
            ]

    loop = asyncio.get_running_loop()
    await _with_paramiko(desk, begin)
    assert await desk.keys() == ["x"]


async def test_truncate(desk: ClientWorkspace) -> None:
    await desk.put("x", content(BIG))

    def work(sftp: paramiko.SFTPClient) -> None:
        sftp.truncate(f"{desk.remote}/x", 6_000_000)

    await _with_paramiko(desk, work)
    assert await desk.body("x") == content(BIG)[:6_000_000]


async def test_times_and_names(desk: ClientWorkspace) -> None:
    def work(sftp: paramiko.SFTPClient) -> None:
        sftp.chdir(desk.remote)
        sftp.mkdir("d")
        with sftp.open("d/x", "wb") as file:
            file.write(b"x")
        sftp.utime("d/x", (1_000_000_000, 1_234_567_890))
        assert sftp.stat("d/x").st_mtime == 1_234_567_890
        sftp.rename("d/x", "d/y")
        assert sftp.listdir("d") == ["y"]
        assert [entry.st_size for entry in sftp.listdir_attr("d")] == [1]
        with pytest.raises(FileNotFoundError):
            sftp.stat("d/x")
        with pytest.raises(FileNotFoundError):
            sftp.remove("d/x")
        with pytest.raises(OSError, match="no symbolic links"):
            sftp.symlink("d/y", "link")
        sftp.remove("d/y")

    await _with_paramiko(desk, work)
    assert [key for key in await desk.keys() if key != "d/"] == []


async def test_random_reads_are_the_right_bytes(desk: ClientWorkspace) -> None:
    await desk.put("x", content(BIG))
    ranges = [(random.Random(n).randrange(BIG), 1 + n * 997) for n in range(40)]

    def work(sftp: paramiko.SFTPClient) -> list[bytes]:
        with sftp.open(f"{desk.remote}/x", "rb") as file:
            return [bytes(piece) for piece in file.readv(ranges)]

    pieces = await _with_paramiko(desk, work)
    assert pieces == [content(BIG)[start : start + size] for start, size in ranges]


async def test_stat_of_a_directory_has_a_time_that_stays(desk: ClientWorkspace) -> None:
    """Airflow's hook formats `st_mtime` of whatever it finds, and fails when there is none."""
    await desk.put("implied/x", b"")

    def work(sftp: paramiko.SFTPClient) -> None:
        sftp.mkdir(f"{desk.remote}/made")
        for path in ("/", desk.remote, f"{desk.remote}/implied", f"{desk.remote}/made"):
            first, again = sftp.stat(path), sftp.stat(path)
            assert first.st_mtime == again.st_mtime
            assert first.st_mtime is not None
            assert first.st_mtime > 0
            assert None not in (first.st_uid, first.st_gid, first.st_size, first.st_atime)
        for entry in sftp.listdir_attr(desk.remote):
            assert entry.st_mtime == sftp.stat(f"{desk.remote}/{entry.filename}").st_mtime

    await _with_paramiko(desk, work)


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha512"])
async def test_check_hashes_a_file_and_its_blocks_in_the_server(
    desk: ClientWorkspace, algorithm: str
) -> None:
    body = content(BIG)
    await desk.put("x", body)

    def work(sftp: paramiko.SFTPClient) -> tuple[bytes, bytes]:
        with sftp.open(f"{desk.remote}/x", "rb") as file:
            return file.check(algorithm), file.check(algorithm, 1000, 5000, 2048)

    blocks = [body[at : min(at + 2048, 6000)] for at in range(1000, 6000, 2048)]
    digests = [hashlib.new(algorithm, each).digest() for each in (body, *blocks)]
    assert await _with_paramiko(desk, work) == (digests[0], b"".join(digests[1:]))


async def test_errors_have_the_words_that_scripts_look_for(desk: ClientWorkspace) -> None:
    await desk.put("d/x", b"")

    def work(sftp: paramiko.SFTPClient) -> None:
        for call in (sftp.stat, sftp.remove, sftp.open, sftp.listdir):
            with pytest.raises(FileNotFoundError, match=r"\[Errno 2\] No such file$"):
                call(f"{desk.remote}/none")
        with pytest.raises(OSError, match=r"^Operation unsupported"):
            sftp.symlink("x", f"{desk.remote}/l")
        with pytest.raises(OSError, match=r"^Failure: directory not empty"):
            sftp.rmdir(f"{desk.remote}/d")

    await _with_paramiko(desk, work)


async def _with_paramiko(desk: ClientWorkspace, work: Callable[[paramiko.SFTPClient], T]) -> T:
    return await asyncio.to_thread(_in_thread, desk, work)


def _in_thread(desk: ClientWorkspace, work: Callable[[paramiko.SFTPClient], T]) -> T:
    with desk.clients.paramiko() as sftp:
        return work(sftp)


async def test_writes_that_each_wait_for_their_answer_wait_for_nothing_else(desk: ClientWorkspace) -> None:
    """paramiko sends each in two messages, and its kernel holds the second back until the first is acked."""
    count = 64

    def work(sftp: paramiko.SFTPClient) -> float:
        with sftp.open(f"{desk.remote}/x", "wb") as file:
            file.write(b"x")
            began = time.monotonic()
            file.write(bytes(count * 32768))
            return time.monotonic() - began

    limit = count * 0.04 / 2  # a late acknowledgement is 40 ms late
    seconds = [await _with_paramiko(desk, work)]
    while seconds[-1] >= limit and len(seconds) < 4:  # what else the machine does may delay one
        seconds.append(await _with_paramiko(desk, work))
    assert seconds[-1] < limit, seconds


@pytest.mark.parametrize("when", ["before", "behind"])
async def test_a_handle_that_is_never_closed_hides_and_blocks_nothing(
    desk: ClientWorkspace, when: str
) -> None:
    """As rclone leaves one after a failed transfer, and phpseclib after `is_writable`."""

    def work() -> None:
        with desk.clients.paramiko() as sftp:
            sftp.chdir(desk.remote)
            with sftp.open("x", "w") as file:
                file.write(b"y" * 100)
                if when == "behind":
                    left = _leave(sftp)
            if when == "before":
                left = _leave(sftp)
                with sftp.open("x", "w") as file:
                    file.write(b"y" * 100)
            assert sftp.stat("x").st_size == sftp.lstat("x").st_size == 100
            assert [entry.st_size for entry in sftp.listdir_attr(".")] == [100]
            probe = sftp.open("x", "r+")
            sftp.rename("x", "moved")
            assert sftp.stat("moved").st_size == 100
            sftp.posix_rename("moved", "x")
            with sftp.open("x") as file:
                assert file.read() == b"y" * 100
            sftp.remove("x")
            with pytest.raises(FileNotFoundError):
                sftp.stat("x")
            with pytest.raises(FileNotFoundError):
                left.write(b"more")
            probe.close()

    await asyncio.to_thread(work)
    assert await desk.keys() == []


def _leave(sftp):  # type: ignore[no-untyped-def]
    left = sftp.open("x", "w")
    left.write(b"x" * 5120)
    left.flush()
    return left

"""Nothing leads out of the root: whatever links are planted in it, and when."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, chdir, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3sftp.backends import CompleteBackend, FileInfo, Place, WriteIntent
from s3sftp.backends.contract import Finish
from s3sftp.backends.local import syscalls
from s3sftp.errors import PermissionDenied, StorageError
from tests.backends.local.containment_tree import (
    ALICE,
    SECRET,
    WAYS,
    ContainmentTree,
    exchange,
    place,
    serving,
)

EACH_WAY = pytest.mark.parametrize("way", WAYS)


# what is tried, on any two places: it returns all that it was told


async def _info(backend: CompleteBackend, one: Place, _: Place) -> list[object]:
    return [await backend.file_info(one, ALICE)]


async def _list(backend: CompleteBackend, one: Place, _: Place) -> list[object]:
    return [entry async for page in backend.list_dir(one, ALICE) for entry in page]


async def _read(backend: CompleteBackend, one: Place, _: Place) -> list[object]:
    return [await backend.read_file(one, ALICE)]


async def _read_range(backend: CompleteBackend, one: Place, _: Place) -> list[object]:
    async with aclosing(backend.read_file_range(one, 0, len(SECRET), None, ALICE)) as pieces:  # type: ignore[type-var]
        return [piece async for piece in pieces]


async def _write(backend: CompleteBackend, one: Place, _: Place) -> list[object]:
    return [await backend.write_file(one, b"written", ALICE)]


async def _write_exclusively(backend: CompleteBackend, one: Place, _: Place) -> list[object]:
    upload = await backend.begin_write(one, WriteIntent(exclusive=True), ALICE)
    try:
        return [await backend.finish_write(upload, b"written", Finish(7), ALICE)]
    finally:
        await backend.abort_write(upload, ALICE)


async def _keep(backend: CompleteBackend, one: Place, _: Place) -> list[object]:
    base = await backend.file_info(one, ALICE)
    upload = await backend.begin_write(one, WriteIntent(base=base), ALICE)
    try:
        await backend.keep_range(upload, 0, base.size, ALICE)
        return [await backend.finish_write(upload, b"more", Finish(base.size + 4), ALICE)]
    finally:
        await backend.abort_write(upload, ALICE)


async def _make_dir(backend: CompleteBackend, one: Place, _: Place) -> list[object]:
    return [await backend.make_dir(one, ALICE)]


async def _del_dir(backend: CompleteBackend, one: Place, _: Place) -> list[object]:
    return [await backend.del_dir(one, ALICE)]


async def _delete(backend: CompleteBackend, one: Place, _: Place) -> list[object]:
    return [await backend.delete(one, ALICE)]


async def _rename(backend: CompleteBackend, one: Place, other: Place) -> list[object]:
    return [await backend.rename(one, other, ALICE, overwrite=False)]


async def _replace(backend: CompleteBackend, one: Place, other: Place) -> list[object]:
    return [await backend.rename(one, other, ALICE, overwrite=True)]


async def _copy(backend: CompleteBackend, one: Place, other: Place) -> list[object]:
    return [await backend.copy(one, other, ALICE, version=None), *(await _read(backend, other, one))]


async def _set_mtime(backend: CompleteBackend, one: Place, _: Place) -> list[object]:
    return [await backend.set_mtime(one, 1_000_000_000, ALICE)]


Operation = Callable[[CompleteBackend, Place, Place], Awaitable[list[object]]]
OPERATIONS: list[Operation] = [
    _info,
    _list,
    _read,
    _read_range,
    _write,
    _write_exclusively,
    _keep,
    _make_dir,
    _del_dir,
    _delete,
    _rename,
    _replace,
    _copy,
    _set_mtime,
]


def tells_nothing(ground: ContainmentTree, told: list[object]) -> None:
    for each in told:
        info = getattr(each, "info", each)
        if isinstance(each, bytes):
            assert SECRET not in each
        if isinstance(info, FileInfo) and info.version:
            assert not ground.is_secret(int(info.version.split("-")[0], 16))
    assert b"only outside" not in {getattr(each, "name", b"") for each in told}


NAMES = ["a", "b"]
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
BELOW = st.sampled_from(["", "/secret", "/sub", "/sub/secret", "/empty"])
OUT = [
    "OUTSIDE",
    "../outside",
    "../../outside",
    "../../../outside",
    "/proc/self/rootOUTSIDE",
    "/proc/self/cwd",
]
LEADS = st.one_of(
    st.tuples(st.sampled_from(OUT), BELOW).map("".join),
    st.sampled_from(["/", "..", "../..", ".", "/proc/self/root", "/etc/hostname"]),
    PATHS,  # chains, circles, and what leads to nothing
    PATHS.map(lambda path: f"../{path}"),
)


@EACH_WAY
@settings(max_examples=120, deadline=None)
@given(
    files=st.lists(PATHS, max_size=4),
    links=st.lists(st.tuples(PATHS, LEADS), min_size=1, max_size=6),
    steps=st.lists(
        st.tuples(
            st.sampled_from(OPERATIONS),
            st.tuples(PATHS, BELOW).map("".join),
            st.tuples(PATHS, BELOW).map("".join),
        ),
        min_size=1,
        max_size=12,
    ),
)
def test_no_operation_on_any_path_leads_out_through_any_link(
    way: str, files: list[str], links: list[tuple[str, str]], steps: list[tuple[Operation, str, str]]
) -> None:
    async def play(ground: ContainmentTree) -> None:
        async with serving(ground.root, way, threads=2) as backend:
            for operation, one, other in steps:
                try:
                    told = await operation(backend, place(one), place(other))
                except StorageError:
                    told = []
                tells_nothing(ground, told)
                ground.outside_is_untouched()

    with tempfile.TemporaryDirectory() as directory:
        ground = ContainmentTree(Path(directory))
        _plant(ground, files, links)
        with chdir(ground.outside):  # which /proc/self/cwd then leads to
            asyncio.run(play(ground))


def _plant(ground: ContainmentTree, files: list[str], links: list[tuple[str, str]]) -> None:
    for path, target in [*((path, None) for path in files), *links]:
        file = ground.root / path
        try:
            if file.parent.resolve().is_relative_to(ground.root.resolve()):
                file.parent.mkdir(parents=True, exist_ok=True)
                if target is None:
                    file.write_bytes(b"inside")
                else:
                    file.symlink_to(target.replace("OUTSIDE", str(ground.outside)))
        except (OSError, RuntimeError):
            continue  # something else is there, or a circle


PLAYERS = 4
ATTEMPTS = 1500
"""Of each player."""
CALLS = ("open", "stat", "link", "rename", "unlink", "mkdir", "rmdir", "scandir", "listdir")


class Swapper:
    """Makes `root/d` now a directory, now a link to outside.

    A thread does so as fast as it can, to meet the kernel in the middle of a call. Whether it ever comes in
    between two calls depends on the machine, so before each call of the backend a coin is tossed, too.
    """

    def __init__(self, ground: ContainmentTree, target: str) -> None:
        self._coin = random.Random(target)
        self._names = ground.root / "d", ground.root / "e"
        self._names[0].mkdir()
        self._names[1].symlink_to(target)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._swap)

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            with pytest.MonkeyPatch.context() as patch:
                for name in CALLS:
                    patch.setattr(os, name, self._tossing(getattr(os, name)))
                patch.setattr(syscalls, "openat2", self._tossing(syscalls.openat2))
                yield
        finally:
            self._stopping.set()
            self._thread.join()

    def _swap(self) -> None:
        while not self._stopping.is_set():
            exchange(*self._names)

    def _tossing(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def tossed(*words: Any, **more: Any) -> Any:
            if self._coin.random() < 0.5:
                exchange(*self._names)
            return call(*words, **more)

        return tossed


RACES = [
    (operation, one, other)
    for operation in OPERATIONS
    for one, other in (
        ("d/secret", "own"),
        ("d/sub/secret", "d/new"),
        ("d/empty", "moved"),
        ("own", "d/file"),
        ("moved", "d/empty"),
        ("d/sub", "d/sub2"),
    )
]


@EACH_WAY
@pytest.mark.parametrize("target", ["OUTSIDE", "../outside"], ids=["absolute", "relative"])
async def test_a_link_swapped_in_between_check_and_use_leads_nowhere(
    way: str, target: str, tmp_path: Path
) -> None:
    ground = ContainmentTree(tmp_path)
    swapper = Swapper(ground, target.replace("OUTSIDE", str(ground.outside)))
    outcomes: Counter[str] = Counter()

    async def play(backend: CompleteBackend, number: int) -> None:
        todo = random.Random(number)
        for _ in range(ATTEMPTS):
            operation, one, other = todo.choice(RACES)
            try:
                told = await operation(backend, place(one), place(other))
                outcomes["done"] += 1
            except PermissionDenied:
                told = []
                outcomes["refused"] += 1
            except StorageError:
                told = []
            tells_nothing(ground, told)

    async with serving(ground.root, way, threads=4) as backend:
        with swapper.running():
            await asyncio.gather(*(play(backend, number) for number in range(PLAYERS)))
    ground.outside_is_untouched()
    assert min(outcomes["done"], outcomes["refused"]) > 100


@EACH_WAY
@pytest.mark.parametrize("lead", ["OUTSIDE/secret", "../outside/secret", "/proc/self/root/etc/hostname"])
async def test_a_link_that_leads_out_is_refused_and_the_client_is_told_why(
    way: str, lead: str, tmp_path: Path
) -> None:
    ground = ContainmentTree(tmp_path)
    (ground.root / "link").symlink_to(lead.replace("OUTSIDE", str(ground.outside)))
    async with serving(ground.root, way) as backend:
        for operation in (_info, _read, _write, _keep, _delete, _copy, _set_mtime):
            with pytest.raises(PermissionDenied, match="symbolic links are refused"):
                await operation(backend, place("link"), place("other"))
        assert await _list(backend, Place(), Place()) == []
    ground.outside_is_untouched()
    assert os.listdir(ground.root) == ["link"]


@pytest.mark.parametrize("way", ["openat2", "walk"])
async def test_a_link_that_stays_inside_is_refused_too_unless_links_are_followed(
    way: str, tmp_path: Path
) -> None:
    ground = ContainmentTree(tmp_path)
    (ground.root / "d").mkdir()
    (ground.root / "d/file").write_bytes(b"inside")
    (ground.root / "link").symlink_to("d")
    async with serving(ground.root, way) as backend:
        for path in ("link", "link/file", "link/none"):
            for operation in (_info, _read, _write, _list, _delete, _copy):
                with pytest.raises(PermissionDenied, match="symbolic links are refused"):
                    await operation(backend, place(path), place("other"))
        for operation in (_make_dir, _write_exclusively, _rename):
            with pytest.raises(PermissionDenied, match="symbolic links are refused"):
                await operation(backend, place("link/new"), place("other"))


async def test_links_that_stay_inside_are_followed_on_request(tmp_path: Path) -> None:
    ground = ContainmentTree(tmp_path)
    (ground.root / "d").mkdir()
    (ground.root / "d/file").write_bytes(b"inside")
    (ground.root / "link").symlink_to("d")
    (ground.root / "d/up").symlink_to("../d/file")
    async with serving(ground.root, "following links") as backend:
        assert await _read(backend, place("link/file"), Place()) == [b"inside"]
        assert await _read(backend, place("link/up"), Place()) == [b"inside"]
        listed = await _list(backend, Place(), Place())
        assert {entry.name: entry.info.is_dir for entry in listed} == {b"d": True, b"link": True}  # type: ignore[attr-defined]
        await _write(backend, place("link/new"), Place())
        assert (ground.root / "d/new").read_bytes() == b"written"
        await _delete(backend, place("link/up"), Place())
        assert (ground.root / "d/file").read_bytes() == b"inside"


@EACH_WAY
async def test_the_root_may_be_the_root_of_the_machine(way: str, tmp_path: Path) -> None:
    here = place(str(tmp_path))
    async with serving(Path("/"), way) as backend:
        listed = {entry.name for entry in await _list(backend, Place(), Place())}  # type: ignore[attr-defined]
        assert {b"etc", b"proc"} <= listed
        hostname = Path("/etc/hostname").read_bytes()
        assert await _read(backend, place("etc/hostname"), Place()) == [hostname]
        await _write(backend, here.child(b"file"), Place())
        assert (tmp_path / "file").read_bytes() == b"written"
        with pytest.raises(PermissionDenied):  # a magic link
            await _read(backend, place("proc/self/root/etc/hostname"), Place())


@EACH_WAY
async def test_pipes_devices_and_sockets_are_neither_shown_nor_opened(way: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    async with serving(tmp_path, way) as backend, asyncio.timeout(20):
        server = await asyncio.start_unix_server(lambda *_: None, tmp_path / "socket")
        for path in ("pipe", "socket"):
            for operation in (_info, _read, _read_range, _list, _write, _delete, _copy, _set_mtime):
                with pytest.raises(PermissionDenied, match="neither a file nor a directory"):
                    await operation(backend, place(path), place("other"))
        server.close()
        await server.wait_closed()
        assert await _list(backend, Place(), Place()) == []
    async with serving(Path("/"), way) as backend:
        with pytest.raises(PermissionDenied, match="neither a file nor a directory"):
            await _read(backend, place("dev/zero"), Place())

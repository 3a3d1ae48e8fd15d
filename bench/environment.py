"""What a run stands on: a directory on the RAM disk, SeaweedFS, keys, material, buckets."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path

from bench.clients import rclone
from bench.identity import Identity
from bench.peers import PeerServer, Storage
from bench.peers.peer import Site
from bench.serving import Serving, serving
from bench.sizes import QUICK, Sizes
from bench.synthetic import Synthetic
from bench.test_data import BenchFiles
from testbed.certificates import Authority
from testbed.processes import free_port
from testbed.s3_store import Store
from testbed.seaweed import SeaweedFS


@dataclass(frozen=True)
class Place:
    """Where the files of a measurement are: a bucket, and a folder for servers of local disks."""

    bucket: str
    folder: Path


class BenchEnvironment:
    """Everything that the measurements of a run share. Gone with the block."""

    def __init__(self, above: Path, sizes: Sizes) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="s3sftp-bench-", dir=above))
        self.sizes = sizes
        self.material = BenchFiles(self.directory / "material", sizes)
        self._stack = ExitStack()
        self._numbers = count(1)
        self._shared: dict[str, Place] = {}
        self._seeded: set[tuple[str, Storage]] = set()
        self._synthetic: dict[int, Synthetic] = {}

    def __enter__(self) -> BenchEnvironment:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._stack.close()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    @cached_property
    def identity(self) -> Identity:
        return Identity.make(self.directory / "keys")

    @cached_property
    def seaweed(self) -> SeaweedFS:
        directory = self.directory / "seaweed"
        directory.mkdir()
        return self._stack.enter_context(SeaweedFS(directory, Authority(directory)))

    @property
    def store(self) -> Store:
        """S3 itself, no relay in between."""
        return self.seaweed.store

    @property
    def store_over_tls(self) -> Store:
        """The same storage over TLS, by a CA of this run."""
        return self.seaweed.over_tls

    def synthetic(self, names: int) -> Synthetic:
        """An S3 with so many names, all in its root."""
        if names not in self._synthetic:
            log = self.directory / f"synthetic-{names}.log"
            self._synthetic[names] = self._stack.enter_context(Synthetic(names, log))
        return self._synthetic[names]

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A directory for one measurement."""
        directory = self.directory / f"run-{next(self._numbers)}"
        directory.mkdir()
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    @contextmanager
    def place(self, peer: PeerServer, seed: str, *, shared: bool) -> Iterator[Place]:
        """Where a peer finds `seed` (a set of the material) stored, or nothing. Shared ones are only read."""
        if shared:
            place = self._shared.get(seed) or self._shared.setdefault(seed, self._new_place())
            self._seed(place, peer.storage, seed)
            yield place
            return
        place = self._new_place()
        try:
            self._seed(place, peer.storage, seed)
            yield place
        finally:
            self._drop(place)

    def site(self, place: Place, directory: Path, store: Store | None = None) -> Site:
        """What a peer needs to serve a place from a directory of its own; S3 itself is the default store."""
        return Site(
            directory,
            free_port(),
            self.identity,
            store or self.store,
            place.bucket,
            place.folder,
            self.seaweed.filer_port,
        )

    def _new_place(self) -> Place:
        number = next(self._numbers)
        place = Place(f"bench-{number}", self.directory / f"folder-{number}")
        self.store.make_bucket(place.bucket)
        place.folder.mkdir()
        return place

    def _seed(self, place: Place, storage: Storage, seed: str) -> None:
        where = Storage.FOLDER if storage is Storage.FOLDER else Storage.S3
        if not seed or storage is Storage.MEMORY or (place.bucket, where) in self._seeded:
            return
        self._seeded.add((place.bucket, where))
        self._ways(where)(place, seed)

    def _ways(self, where: Storage) -> Callable[[Place, str], None]:
        return self._seed_folder if where is Storage.FOLDER else self._seed_bucket

    def _seed_bucket(self, place: Place, seed: str) -> None:
        with self.scratch() as scratch:
            rclone.seed(self.store, self.material.path(seed), f"{place.bucket}/{seed}", scratch)

    def _seed_folder(self, place: Place, seed: str) -> None:
        shutil.copytree(self.material.path(seed), place.folder / seed)

    def _drop(self, place: Place) -> None:
        # SeaweedFS deletes a bucket with all that is in it, at once
        self.store.blocking_client.delete_bucket(Bucket=place.bucket)
        shutil.rmtree(place.folder, ignore_errors=True)


@contextmanager
def serving_alone(peer: PeerServer, above: Path) -> Iterator[Serving]:
    """Start a peer with an S3 of its own, in a directory below `above`; both are gone with the block."""
    with (
        BenchEnvironment(above, QUICK) as environment,
        environment.scratch() as directory,
        environment.place(peer, "", shared=False) as place,
        serving(peer, environment.site(place, directory)) as server,
    ):
        yield server

"""The files that are moved: random bytes, made once for a run, the same for every peer.

Each set is a directory below the material's own; on a server it stands under the same name.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

from bench.sizes import MIB, Sizes

_PIECE = 16 * MIB


class BenchFiles:
    """Makes sets of files when they are first asked for."""

    def __init__(self, directory: Path, sizes: Sizes) -> None:
        self._directory = directory
        self._sizes = sizes

    def files(self, name: str) -> dict[str, int]:
        """Names and sizes of a set, made or not."""
        sizes = self._sizes
        match name:
            case "stream":
                return {"stream.bin": sizes.stream}
            case "streams":
                return {f"stream-{index}.bin": sizes.parallel for index in range(sizes.streams)}
            case "pair":
                return {f"stream-{index}.bin": sizes.stream // 2 for index in range(2)}
            case "small":
                return {f"file-{index:06}.dat": sizes.file for index in range(sizes.files)}
            case "tree":
                return {f"d{index % 10}/file-{index:06}.dat": 1_000 for index in range(sizes.tree)}
            case "objects":
                return {f"object-{index:02}.bin": 8 * MIB for index in range(16)}
            case "mixed":
                return dict(_mixed(sizes.mixed))
        raise ValueError(f"no material is called {name!r}")

    def path(self, name: str) -> Path:
        """Where a set is; it is made when it is not there yet."""
        made = self._directory / name
        if not made.exists():
            unfinished = self._directory / f"{name}.part"
            source = random.Random(name)  # the same bytes each time
            for relative, size in self.files(name).items():
                _write(unfinished / relative, size, source)
            unfinished.rename(made)
        return made

    def total(self, name: str) -> int:
        return sum(self.files(name).values())


def _mixed(times: int) -> Iterator[tuple[str, int]]:
    for kind, count, size in (("small", 500, 10_000), ("middle", 100, MIB), ("large", 8, 32 * MIB)):
        for index in range(count * times):
            yield f"{kind}/{index:05}.dat", size


def _write(file: Path, size: int, source: random.Random) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as out:
        for start in range(0, size, _PIECE):
            out.write(source.randbytes(min(_PIECE, size - start)))


def digest_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

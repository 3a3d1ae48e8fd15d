"""What a work is, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bench.serving import Serving
from bench.test_data import BenchFiles

EVERYWHERE = ("s3sftp", "rclone", "rclone-writes", "weed", "s3sftp-memory", "rclone-local", "openssh")
FILES = ("s3sftp", "rclone", "rclone-writes", "weed", "openssh")
STRONGEST = ("s3sftp", "rclone", "rclone-writes", "rclone-writes-dirs", "rclone-full-dirs", "weed", "openssh")
LOOKS = ("s3sftp", "rclone", "weed", "openssh")
SYNTHETIC = ("s3sftp", "rclone")
CIPHERS = ("s3sftp", "rclone", "weed", "openssh")
MANY = ("s3sftp-many", "rclone", "weed")

DISTANCES = ("plain", "shaped")
EVERY_SETTING = (*DISTANCES, "tls")


@dataclass(frozen=True)
class Task:
    """One measurement's world."""

    serving: Serving
    material: BenchFiles
    scratch: Path
    """A directory on the RAM disk; gone after the measurement."""
    await_stored: Callable[[dict[str, int]], None]
    """Block until the storage itself has these names and sizes: some servers answer before that."""
    check_stored: Callable[[str, str], None]
    """Compare what is stored under a path with a set of the material. Failed when they differ."""


@dataclass(frozen=True)
class Outcome:
    """What a work says of itself; the rest is measured around it."""

    seconds: float
    bytes: int = 0
    files: int = 0
    client_cpu_seconds: float = 0.0
    values: dict[str, float] = field(default_factory=dict)
    cipher: str = ""
    """What the client ended with, if it says so."""


class Workload(Protocol):
    """Something to do with a server."""

    @property
    def name(self) -> str: ...

    @property
    def peers(self) -> Sequence[str]:
        """Who does it when nobody is named."""
        ...

    @property
    def settings(self) -> Sequence[str]:
        """In which settings when none is named."""
        ...

    @property
    def seed(self) -> str:
        """The set of the material that must be stored beforehand; empty for none."""
        ...

    @property
    def changes(self) -> bool:
        """Whether it needs a place of its own."""
        ...

    @property
    def names(self) -> int:
        """How many names the synthetic S3 under it has; 0: it runs on SeaweedFS."""
        ...

    def about(self, material: BenchFiles) -> str:
        """What is done, by which client, in a line."""
        ...

    def run(self, task: Task) -> Outcome:
        """Do it. Failed when it cannot be done."""
        ...

    def check(self, task: Task) -> None:
        """After a run: were the bytes right? Failed when not."""
        ...


def limit(material: BenchFiles, name: str) -> float:
    """Seconds after which a transfer is given up: far beyond what the slowest should need."""
    return 60 + material.total(name) / 4e6 + len(material.files(name)) * 0.05


def shown_set(material: BenchFiles, name: str) -> str:
    """A set of the material in words."""
    files = material.files(name)
    sizes = sorted(set(files.values()))
    if len(files) == 1:
        return f"{shown_bytes(sizes[0])}, one stream"
    kinds = " and ".join(f"{shown_bytes(size)}" for size in sizes)
    return f"{len(files)} files of {kinds}"


def shown_bytes(amount: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if amount >= size and amount % size == 0:
            return f"{amount // size} {unit}"
    return f"{amount / 1000:g} KB"

"""Large files, a client of its own for each: OpenSSH's sftp."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.clients import openssh, rclone
from bench.clients.openssh import OWN_CHOICE, Cipher
from bench.test_data import BenchFiles
from bench.work.workload import DISTANCES, EVERYWHERE, Outcome, Task, limit, shown_set


@dataclass(frozen=True)
class Get:
    """Downloads; the client throws the bytes away."""

    name: str
    set: str
    peers: Sequence[str] = EVERYWHERE
    settings: Sequence[str] = DISTANCES
    cipher: Cipher = OWN_CHOICE
    changes = False
    names = 0

    @property
    def seed(self) -> str:
        return self.set

    def about(self, material: BenchFiles) -> str:
        by = f"each by an OpenSSH `sftp`{_with(self.cipher)}"
        return f"get of {shown_set(material, self.set)}, {by}, to /dev/null"

    def run(self, task: Task) -> Outcome:
        return self._get(task, lambda _: "/dev/null")

    def check(self, task: Task) -> None:
        target = task.scratch / "got"
        target.mkdir()
        self._get(task, lambda name: str(target / name))
        source = str(task.material.path(self.set))
        rclone.check(task.serving, source, str(target), task.scratch, limit(task.material, self.set))

    def _get(self, task: Task, target: Callable[[str], str]) -> Outcome:
        files = task.material.files(self.set)
        batches = [[f"get {task.serving.remote(f'{self.set}/{name}')} {target(name)}"] for name in files]
        return _moved(task, batches, self.set, self.cipher)


@dataclass(frozen=True)
class Put:
    """Uploads, into the root."""

    name: str
    set: str
    peers: Sequence[str] = EVERYWHERE
    settings: Sequence[str] = DISTANCES
    cipher: Cipher = OWN_CHOICE
    seed = ""
    changes = True
    names = 0

    def about(self, material: BenchFiles) -> str:
        return f"put of {shown_set(material, self.set)}, each by an OpenSSH `sftp`{_with(self.cipher)}"

    def run(self, task: Task) -> Outcome:
        files = task.material.files(self.set)
        source = task.material.path(self.set)
        batches = [[f"put {source / name} {task.serving.remote(name)}"] for name in files]
        outcome = _moved(task, batches, self.set, self.cipher)
        task.await_stored(files)
        return outcome

    def check(self, task: Task) -> None:
        task.check_stored(self.set, "")


def _moved(task: Task, batches: Sequence[Sequence[str]], name: str, cipher: Cipher) -> Outcome:
    files = task.material.files(name)
    took = openssh.sftp(task.serving, batches, task.scratch, limit(task.material, name), cipher)
    ended_with = openssh.ended_with(task.scratch)
    return Outcome(took.seconds, sum(files.values()), len(files), took.cpu_seconds, cipher=ended_with)


def _with(cipher: Cipher) -> str:
    return f" that asks for {cipher}" if cipher.name else ""

"""Many files at once: rclone moves them, the same for every peer, and OpenSSH renames their directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.clients import openssh, rclone
from bench.test_data import BenchFiles
from bench.work.workload import DISTANCES, FILES, LOOKS, Outcome, Task, limit, shown_set


@dataclass(frozen=True)
class Upload:
    """A directory goes up."""

    name: str
    set: str
    peers: Sequence[str] = FILES
    settings: Sequence[str] = DISTANCES
    transfers: int = rclone.TRANSFERS
    seed = ""
    changes = True
    names = 0

    def about(self, material: BenchFiles) -> str:
        return f"put of {shown_set(material, self.set)} by `rclone copy --transfers {self.transfers}`"

    def run(self, task: Task) -> Outcome:
        target = f"server:{task.serving.remote(self.set)}"
        source = str(task.material.path(self.set))
        files = task.material.files(self.set)
        seconds = limit(task.material, self.set)
        took = rclone.copy(task.serving, source, target, task.scratch, seconds, self.transfers)
        task.await_stored({f"{self.set}/{name}": size for name, size in files.items()})
        return Outcome(took.seconds, sum(files.values()), len(files), took.cpu_seconds)

    def check(self, task: Task) -> None:
        task.check_stored(self.set, self.set)


@dataclass(frozen=True)
class Download:
    """A directory comes down, onto the RAM disk."""

    name: str
    set: str
    peers: Sequence[str] = FILES
    settings: Sequence[str] = DISTANCES
    transfers: int = rclone.TRANSFERS
    changes = False
    names = 0

    @property
    def seed(self) -> str:
        return self.set

    def about(self, material: BenchFiles) -> str:
        return f"get of {shown_set(material, self.set)} by `rclone copy --transfers {self.transfers}`"

    def run(self, task: Task) -> Outcome:
        source = f"server:{task.serving.remote(self.set)}"
        files = task.material.files(self.set)
        target = str(task.scratch / "got")
        seconds = limit(task.material, self.set)
        took = rclone.copy(task.serving, source, target, task.scratch, seconds, self.transfers)
        return Outcome(took.seconds, sum(files.values()), len(files), took.cpu_seconds)

    def check(self, task: Task) -> None:
        source = str(task.material.path(self.set))
        got = str(task.scratch / "got")
        rclone.check(task.serving, source, got, task.scratch, limit(task.material, self.set))


class Rename:
    """The tree is copied and deleted where storage knows no directories."""

    name = "rename"
    peers = LOOKS
    settings = DISTANCES
    seed = "tree"
    changes = True
    names = 0

    def about(self, material: BenchFiles) -> str:
        return f"rename of a directory with {len(material.files('tree'))} files by OpenSSH `sftp`"

    def run(self, task: Task) -> Outcome:
        batch = [f"rename {task.serving.remote('tree')} {task.serving.remote('moved')}"]
        took = openssh.sftp(task.serving, [batch], task.scratch, 300)
        files = task.material.files("tree")
        task.await_stored({f"moved/{name}": size for name, size in files.items()})
        return Outcome(took.seconds, files=len(files), client_cpu_seconds=took.cpu_seconds)

    def check(self, task: Task) -> None:
        task.check_stored("tree", "moved")

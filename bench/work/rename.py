"""A directory gets another name."""

from __future__ import annotations

from bench.clients import openssh
from bench.test_data import BenchFiles
from bench.work.workload import LOOKS, Outcome, Task


class Rename:
    """The tree is copied and deleted where storage knows no directories."""

    name = "rename"
    peers = LOOKS
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

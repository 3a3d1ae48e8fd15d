"""`python -m bench.versions CHECKOUT`: the CPU time of this server and of another version, over HTTP and TLS.

CHECKOUT is a directory with another version of the package, such as a git worktree. This interpreter runs
both, and they take turns. It prints the minimum of all runs, because other work on the machine only adds to
them: CPU milliseconds of the whole server for a small file, CPU seconds for a GiB. The store is SeaweedFS.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from bench.comparison import measured, scale_of
from bench.environment import BenchEnvironment
from bench.peers.peer import Command, Site
from bench.peers.s3sftp import S3Sftp
from bench.sizes import QUICK, Sizes, changed
from bench.work import works

_WORKS = "small-put,small-get,put,get"


class _Version(S3Sftp):
    """The package in a directory."""

    def __init__(self, name: str, directory: Path) -> None:
        super().__init__(name, options={"PYTHONPATH": str(directory)})

    def command(self, site: Site) -> Command:
        command = super().command(site)
        # -P: Python does not search the current directory first
        words = [command.words[0], "-P", *command.words[1:]]
        return Command(words, command.environment)


@dataclass(frozen=True)
class _Case:
    """One measurement, of any version."""

    work: str
    scheme: str


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.versions", description=__doc__)
    parser.add_argument("checkout", type=Path, help="the version to compare with")
    parser.add_argument("--only", default=_WORKS, help="works, by comma")
    parser.add_argument("--schemes", default="http,https")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sizes", default="", help="such as stream=256MiB,files=1000")
    parser.add_argument("--scratch", type=Path, default=Path("/dev/shm"))
    words = parser.parse_args()
    sizes = changed(QUICK, words.sizes)
    chosen = {name: work for name, work in works(sizes).items() if name in words.only.split(",")}
    directories = {"before": words.checkout.resolve(), "after": Path(__file__).parents[1]}
    with BenchEnvironment(words.scratch, sizes) as environment:
        stores = {"http": environment.store, "https": environment.store_over_tls}
        versions = [_Version(name, directory) for name, directory in directories.items()]
        for work in chosen.values():
            for scheme in words.schemes.split(","):
                case = _Case(work.name, scheme)
                print(
                    _line(case, measured(environment, work, stores[scheme], versions, words.runs), sizes),
                    flush=True,
                )
    print(f"load {os.getloadavg()[0]:.1f}")


def _line(case: _Case, seconds: dict[str, list[float]], sizes: Sizes) -> str:
    scale, unit = scale_of(case.work, sizes)
    before, after = (min(seconds[name]) * scale for name in ("before", "after"))
    runs = "; ".join(f"{name} {' '.join(f'{s * scale:.2f}' for s in each)}" for name, each in seconds.items())
    return (
        f"{case.work:10} {case.scheme:6} before {before:6.2f}  after {after:6.2f}  {unit:13} "
        f"{after / before - 1:+.0%}   ({runs})"
    )


if __name__ == "__main__":
    main()

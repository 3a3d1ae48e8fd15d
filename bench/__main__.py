"""`python -m bench`: measure, print, keep. See bench/README.md."""

from __future__ import annotations

import argparse
import datetime
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import machine
from bench.environment import BenchEnvironment
from bench.peers import PEERS
from bench.records import Results, Sample, load
from bench.report.page import summary
from bench.runner import Step, plan, run_all
from bench.settings import SETTINGS
from bench.sizes import FULL, QUICK, Sizes, changed
from bench.work import Workload, works

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    words = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # what it has on the RAM disk goes with it
    sizes = changed(QUICK if words.quick else FULL, words.sizes)
    every = works(sizes)
    steps = _steps(words, every)
    now = datetime.datetime.now(datetime.UTC)
    file = words.into or RESULTS / f"{now:%Y-%m-%d}.json"
    with BenchEnvironment(words.scratch, sizes) as environment:
        results = _results(words, file, environment, every, sizes, now)
        for name in dict.fromkeys(step.peer for step in steps):
            if reason := PEERS[name].missing():
                print(f"LEFT OUT: {name}: {reason}", file=sys.stderr)
        steps = [step for step in steps if not PEERS[step.peer].missing()]

        def on_sample(number: int, sample: Sample) -> None:
            results.save(file)
            print(f"[{number + 1}/{len(steps)}] {_line(sample)}", file=sys.stderr, flush=True)

        run_all(environment, every, steps, results, on_sample)
    print(summary(results))
    print(f"Written to {file}. A page of it: python -m bench.report {file}", file=sys.stderr)
    return 1 if results.failures() else 0


def _steps(words: argparse.Namespace, every: dict[str, Workload]) -> list[Step]:
    chosen = [every[name] for name in words.only] if words.only else list(every.values())
    return list(plan(chosen, words.settings, words.peers, words.runs or _runs(words)))


def _runs(words: argparse.Namespace) -> int:
    return 2 if words.quick else 5


def _results(
    words: argparse.Namespace,
    file: Path,
    environment: BenchEnvironment,
    every: dict[str, Workload],
    sizes: Sizes,
    now: datetime.datetime,
) -> Results:
    """The file's, to which samples are added, or new ones."""
    about = {
        "date": f"{now:%Y-%m-%d %H:%M} UTC",
        "command": _command(),
        "quick": words.quick,
        "machine": machine.machine(),
        "versions": machine.versions(),
        "options": machine.options(),
        "sizes": vars(sizes),
        "works": {name: work.about(environment.material) for name, work in every.items()},
        "peers": {name: peer.about for name, peer in PEERS.items()},
    }
    if not (words.into and file.exists()):
        return Results(about)
    earlier = load(file)
    different = [
        name for name in ("versions", "machine", "sizes", "options") if earlier.about[name] != about[name]
    ]
    if different:
        raise SystemExit(f"{file} was measured with other {' and '.join(different)}: samples do not mix")
    earlier.about["command"] += f"; {about['command']}"
    return earlier


def _command() -> str:
    # Where files were is nobody's business; what they are called may be
    return " ".join(["python -m bench", *(Path(word).name for word in sys.argv[1:])])


def _line(sample: Sample) -> str:
    what = f"{sample.work} {sample.setting} {sample.peer} run {sample.run + 1}"
    if sample.failure:
        return f"{what}: FAILED: {sample.failure}"
    rate = f", {sample.bytes / sample.seconds / 1e6:.0f} MB/s" if sample.bytes else ""
    return (
        f"{what}: {sample.seconds:.2f} s{rate}, server {sample.cpu_seconds:.2f} CPU s,"
        f" {sample.peak_memory >> 20} MiB, {sum(sample.requests.values())} requests"
    )


def _list(known: Sequence[str]):  # type: ignore[no-untyped-def]
    def parse(text: str) -> list[str]:
        names = [name for name in text.split(",") if name]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: known are {', '.join(known)}")
        return names

    return parse


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Compare s3sftp with its peers.")
    add = parser.add_argument
    add("--quick", action="store_true", help="smaller sizes, two runs: for orientation")
    add("--only", type=_list(list(works(FULL))), default=[], help="works, by comma")
    add("--peers", type=_list(list(PEERS)), default=[], help="peers, by comma; default: what suits each work")
    add("--settings", type=_list(list(SETTINGS)), default=[], help="by comma; default: what suits each work")
    add("--runs", type=int, default=0, help="runs of each measurement; default 5, with --quick 2")
    add("--sizes", default="", help="such as stream=256MiB,files=1000")
    add("--into", type=Path, help="file of results; samples are added when it exists")
    add("--scratch", type=Path, default=Path("/dev/shm"), help="where everything lives: a RAM disk")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())

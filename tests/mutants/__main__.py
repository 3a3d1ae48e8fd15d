"""Runs mutmut over the modules that pyproject.toml lists, and writes the scores into docs/mutants.md.

    $ python -m tests.mutants                      # all of them, from the beginning
    $ python -m tests.mutants 's3sftp.fs.read.read_ahead*'    # these again, with the tests as they are now

Prints each mutant that lives and is not known to be equivalent, and fails if there are too many.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from mutmut.mutation.diff_apply import get_diff_for_mutant

from tests.mutants.lists import ROOT, Equivalent, equivalents, modules
from tests.mutants.page import PAGE, Score, written
from tests.mutants.survivors import Survivor, survivor

MUTMUT = str(Path(sys.executable).with_name("mutmut"))
TIMEOUT = "timeout"
KILLED = frozenset({"killed", TIMEOUT, "segfault"})
"""Verdicts of mutmut that mean that a test noticed: a wrong answer, no end, or a crash."""
UNKNOWN = "not checked"


def main(patterns: list[str]) -> int:
    if not patterns:
        shutil.rmtree(ROOT / "mutants", ignore_errors=True)  # verdicts of tests that have changed since
    subprocess.run([MUTMUT, "run", *patterns], cwd=ROOT, check=True)
    verdicts = results()
    # an equivalent mutant that a busy machine did not bring to its end in time is still no fault
    doubtful = [shown(name) for name, verdict in verdicts.items() if verdict not in KILLED - {TIMEOUT}]
    scores = scores_of(verdicts, doubtful)
    for each in doubtful:
        if verdicts[each.name] not in KILLED and not each.is_one_of(equivalents()):
            print(f"\n{each.name}: {verdicts[each.name]}\n{each.diff}")
    for score in scores:
        if score.mutants:
            print(score)
    if not patterns:
        PAGE.write_text(written(PAGE.read_text("utf-8"), scores), "utf-8")
    return 0 if all(score.is_enough for score in scores) else 1


def results() -> dict[str, str]:
    """mutmut's verdict on each mutant that met its tests."""
    command = [MUTMUT, "results", "--all", "true"]
    told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    lines = [line.strip().split(": ", 1) for line in told.splitlines() if "__mutmut_" in line]
    return {name: verdict for name, verdict in lines if verdict != UNKNOWN}


def shown(name: str) -> Survivor:
    module = name.rpartition(".")[0].replace(".", "/") + ".py"
    return survivor(name, get_diff_for_mutant(name, path=module))


def scores_of(verdicts: dict[str, str], doubtful: list[Survivor]) -> list[Score]:
    """The score of each module that is listed. `doubtful` are the mutants that no test has failed."""
    known: list[Equivalent] = equivalents()
    equivalent = {each.name for each in doubtful if each.is_one_of(known)}
    killed = {name for name, verdict in verdicts.items() if verdict in KILLED} - equivalent
    return [
        Score(
            module, *(sum(_is_of(name, module) for name in names) for names in (verdicts, killed, equivalent))
        )
        for module in modules()
    ]


def _is_of(name: str, module: str) -> bool:
    return name.rpartition(".")[0] == module.removesuffix(".py").replace("/", ".")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`python -m bench.capacity --partners 500 --files-per-day 200 --mean-bytes 2MiB`: see docs/scale.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.capacity.check import comparisons
from bench.capacity.coefficients import coefficients, newest
from bench.capacity.command_options import add_options, made
from bench.capacity.demand import Demand, Machine
from bench.capacity.output import report, warnings
from bench.capacity.requirements import needs
from bench.records import load


def main(arguments: Sequence[str] | None = None) -> None:
    parser = _parser()
    words = vars(parser.parse_args(arguments))
    file: Path | None = words["from"] or newest()
    try:
        demand, machine = made(Demand, words), made(Machine, words)
        costs = coefficients(file)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    found = needs(demand, costs, machine)
    print(report(demand, costs, machine, found))
    for each in comparisons(load(file), costs) if file else ():
        print(f"  check: {each.work}: {each.expected:.2f} CPU s expected, {each.measured:.2f} measured")
    for text in warnings(demand, found):
        print(f"NOTE: {text}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.capacity",
        description="How many replicas, how much memory and money partners need. docs/scale.md explains it.",
    )
    add_options(parser, Demand, "what partners do")
    add_options(parser, Machine, "what serves them")
    parser.add_argument("--from", type=Path, help="file of results; default: the newest in bench/results")
    return parser


if __name__ == "__main__":
    main()

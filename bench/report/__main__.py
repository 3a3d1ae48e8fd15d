"""`python -m bench.report FILE`: write docs/performance.md and its plots from a file of results."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.records import load
from bench.report.page import PLOTS_FOLDER, page, summary
from bench.report.plots import drawn

DOCS = Path(__file__).parents[2] / "docs"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.report", description="Make a page of results.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--print", action="store_true", help="only print the tables")
    parser.add_argument("--docs", type=Path, default=DOCS, help="where the page goes")
    words = parser.parse_args()
    results = load(words.file)
    if words.print:
        print(summary(results))
        return
    folder = words.docs / PLOTS_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    for name, picture in drawn(results).items():
        (folder / f"{name}.svg").write_text(picture, encoding="utf-8")
    (words.docs / "performance.md").write_text(page(results, words.file.name), encoding="utf-8")


if __name__ == "__main__":
    main()

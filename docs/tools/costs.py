"""Writes the table of costs into docs/semantics.md: `python docs/tools/costs.py`.

The numbers are the budgets that tests/limits/test_requests.py holds the server to.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "semantics.md"
sys.path.insert(0, str(ROOT))

from tests.limits.operations import OPERATIONS, shown  # noqa: E402  # the repository is not installed


def main() -> None:
    rows = "".join(f"| {operation.name} | {shown(operation.budget)} |\n" for operation in OPERATIONS)
    table = f"<!-- budget -->\n| operation | requests to S3 |\n|---|---|\n{rows}<!-- /budget -->"
    PAGE.write_text(re.sub(r"<!-- budget -->.*<!-- /budget -->", table, PAGE.read_text("utf-8"), flags=re.S))


if __name__ == "__main__":
    main()

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

from tests.limits.operations import (  # noqa: E402  # the repository is not installed
    CLIENTS,
    OPERATIONS,
    WITH_A_QUOTA,
    WITH_KEPT_UPLOADS,
    WITH_STORED_TIMES,
    WITH_THE_JOURNAL_IN_THE_BUCKET,
    Operation,
    shown,
)


def main() -> None:
    text = PAGE.read_text("utf-8")
    tables = {
        "budget": OPERATIONS,
        "budget-clients": CLIENTS,
        "budget-times": WITH_STORED_TIMES,
        "budget-journal": WITH_THE_JOURNAL_IN_THE_BUCKET,
        "budget-quota": WITH_A_QUOTA,
        "budget-resume": WITH_KEPT_UPLOADS,
    }
    for mark, operations in tables.items():
        text = re.sub(f"<!-- {mark} -->.*<!-- /{mark} -->", _table(mark, operations), text, flags=re.S)
    PAGE.write_text(text)


def _table(mark: str, operations: list[Operation]) -> str:
    rows = "".join(f"| {operation.name} | {shown(operation.budget)} |\n" for operation in operations)
    return f"<!-- {mark} -->\n| operation | requests to S3 |\n|---|---|\n{rows}<!-- /{mark} -->"


if __name__ == "__main__":
    main()

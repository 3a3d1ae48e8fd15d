"""Sends each call of the admin API what it takes and what it does not: `-m tests.admin.api_fuzzer PORT`.

The document comes on standard input; the names of the calls that keep it go to standard output. It is a
program of its own, because pytest would rewrite all of schemathesis' modules.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import CheckFunction, load_all_checks
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from tests.admin.api_client import TOKEN

_EXAMPLES = 4
_REFUSALS = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429", "5xx"]
"""Statuses that refuse what breaks the document: schemathesis' own and 413, for a body that is too large."""
_CONFIG = {"checks": {"negative_data_rejection": {"expected-statuses": _REFUSALS}}}
ENDS_THE_SERVER = "drain"
_NOT_DESCRIBED = "dry_run"
"""A call whose texts have a form that no schema has: keys, addresses and operations."""


def fuzz(port: int, document: dict[str, Any]) -> list[str]:
    """Fuzz all calls but the one that ends the server; their names."""
    load_all_checks()
    fuzzed = []
    config = schemathesis.Config.from_dict(_CONFIG)
    for found in schemathesis.openapi.from_dict(document, config=config).get_all_operations():
        operation = found.ok()
        name = operation.definition.raw["operationId"]
        if name == ENDS_THE_SERVER:
            continue
        # tests/admin/test_api_access.py has wrong tokens, which are throttled
        excluded = [ignored_auth, *([positive_data_acceptance] if name == _NOT_DESCRIBED else [])]
        for mode in schemathesis.GenerationMode:
            if mode is schemathesis.GenerationMode.POSITIVE or operation.query or operation.body:
                _send(port, operation, mode, excluded)
        fuzzed.append(name)
    return fuzzed


def _send(
    port: int, operation: Any, mode: schemathesis.GenerationMode, excluded: list[CheckFunction]
) -> None:
    @given(case=operation.as_strategy(mode))
    @settings(max_examples=_EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def send(case: schemathesis.Case) -> None:
        case.call_and_validate(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {TOKEN}"},
            excluded_checks=excluded,
            timeout=60,
        )

    send()


if __name__ == "__main__":
    print(*fuzz(int(sys.argv[1]), json.load(sys.stdin)))

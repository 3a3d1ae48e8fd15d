"""The admin API keeps what `/openapi.json` says, whatever is sent to it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import CheckFunction, load_all_checks
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from s3sftp.admin.openapi import openapi_document
from testbed.s3_store import Store
from tests.admin.admin_client import admin_port_of
from tests.admin.admin_servers import connect, serving
from tests.admin.api_client import TOKEN, ApiClient, token_file

_EXAMPLES = 4
_ENDS_THE_SERVER = {"drain"}
_NOT_DESCRIBED = {"dry_run"}
"""Calls whose texts have a form that no schema has: keys, addresses and operations."""


def fuzz(port: int, document: dict[str, Any]) -> set[str]:
    """Send each call what it takes and what it does not; the names of the calls. Blocking."""
    load_all_checks()
    schema = schemathesis.openapi.from_dict(document)
    fuzzed = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        name = operation.definition.raw["operationId"]
        if name in _ENDS_THE_SERVER:
            continue
        fuzzed.add(name)
        # tests/admin/test_api_access.py has wrong tokens, which are throttled
        excluded = [ignored_auth, *([positive_data_acceptance] if name in _NOT_DESCRIBED else [])]
        for mode in schemathesis.GenerationMode:

            @given(case=operation.as_strategy(mode))
            @settings(
                max_examples=_EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
            )
            def send(case: schemathesis.Case, excluded: list[CheckFunction] = excluded) -> None:
                case.call_and_validate(
                    base_url=f"http://127.0.0.1:{port}",
                    headers={"Authorization": f"Bearer {TOKEN}"},
                    excluded_checks=excluded,
                    timeout=60,
                )

            if mode is schemathesis.GenerationMode.POSITIVE or operation.query or operation.body:
                send()
    return fuzzed


async def test_every_call_answers_as_the_document_says_whatever_is_sent(
    store: Store, bucket: str, tmp_path: Path
) -> None:
    options = {"admin": {"token_file": str(token_file(tmp_path))}}
    async with serving(tmp_path, store, bucket, 1, options) as server, await connect(server) as connection:
        async with connection.start_sftp_client() as sftp, sftp.open("/open", "wb"):
            said = await ApiClient(server).call("GET", "/openapi.json")
            document = json.loads(said.body)
            assert document == json.loads(json.dumps(openapi_document()))
            fuzzed = await asyncio.to_thread(fuzz, admin_port_of(server), document)
        calls = {each["operationId"] for path in document["paths"].values() for each in path.values()}
        assert fuzzed == calls - _ENDS_THE_SERVER
        assert server.events("admin.request_failed") == []

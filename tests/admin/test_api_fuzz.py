"""The admin API keeps what `/openapi.json` says, whatever is sent to it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from s3sftp.admin.openapi import openapi_document
from testbed.s3_store import Store
from tests.admin.admin_client import admin_port_of
from tests.admin.admin_servers import connect, serving
from tests.admin.api_client import ApiClient, token_file

ENDS_THE_SERVER = "drain"


async def test_every_call_answers_as_the_document_says_whatever_is_sent(
    store: Store, bucket: str, tmp_path: Path
) -> None:
    options = {"admin": {"token_file": str(token_file(tmp_path))}}
    async with serving(tmp_path, store, bucket, 1, options) as server, await connect(server) as connection:
        async with connection.start_sftp_client() as sftp, sftp.open("/open", "wb"):
            said = await ApiClient(server).call("GET", "/openapi.json")
            document = said.json
            assert document == json.loads(json.dumps(openapi_document()))
            command = [sys.executable, "-m", "tests.admin.api_fuzzer", str(admin_port_of(server))]
            fuzzed = await asyncio.to_thread(
                subprocess.run, command, input=said.body, capture_output=True, check=False
            )
        assert fuzzed.returncode == 0, fuzzed.stderr.decode()
        calls = {each["operationId"] for path in document["paths"].values() for each in path.values()}
        assert set(fuzzed.stdout.decode().split()) == calls - {ENDS_THE_SERVER}
        assert server.events("admin.request_failed") == []

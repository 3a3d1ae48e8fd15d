"""`make test-store` runs the tests of S3 on a store that an operator names."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.seaweed import running_seaweed
from tests.conftest import given_store
from tests.support.fault_proxy import FaultProxy

ROOT = Path(__file__).parents[2]
FEW = "comes_back_as_it_went or test_the_check_finds or test_a_directory_is_made"


@pytest.mark.parametrize("may_make_buckets", [True, False], ids=["any bucket", "one bucket"])
async def test_a_store_is_named_on_the_command_line(
    request: pytest.FixtureRequest, may_make_buckets: bool
) -> None:
    if given_store(request.config) is not None:
        pytest.skip("this is such a run")
    with running_seaweed() as store:
        store.make_bucket("given")
        store.blocking_client.put_object(Bucket="given", Key="theirs", Body=b"stays")
        async with FaultProxy(store.endpoint_url) as proxy:
            words = [f"URL={proxy.url}", "NAME=seaweed", "STORE_CLIENTS="]
            words += [f"ACCESS_KEY={store.access_key}", f"SECRET_KEY={store.secret_key}"]
            done = await asyncio.to_thread(
                _make_test_store, *words, *(() if may_make_buckets else ("BUCKET=given",))
            )
            made = proxy.log.by_api().get("CreateBucket", 0)
        assert done.returncode == 0, done.stdout + done.stderr
        passed = re.search(r"(\d+) passed", done.stdout)
        assert passed is not None, done.stdout
        assert int(passed[1]) >= 3, done.stdout
        assert (made > 0) is may_make_buckets
        buckets = {each["Name"] for each in store.blocking_client.list_buckets()["Buckets"]}
        assert {name for name in buckets if name.startswith("test-")} == set()
        left = store.blocking_client.list_objects_v2(Bucket="given")["Contents"]
        assert [each["Key"] for each in left] == ["theirs"]


def _make_test_store(*words: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(
        ["make", f"VENV={sys.prefix}", "-o", f"{sys.prefix}/.ready", "test-store", *words],
        env={**environ, "PYTEST_ADDOPTS": f"-k '{FEW}' -p no:cacheprovider"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

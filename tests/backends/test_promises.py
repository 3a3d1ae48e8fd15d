"""Every promise of the contract, on every backend: in memory, S3 over SeaweedFS, S3 over moto."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from s3sftp.backends import Place
from tests.backends.promises.directories import *  # noqa: F403
from tests.backends.promises.looking import *  # noqa: F403
from tests.backends.promises.moving import *  # noqa: F403
from tests.backends.promises.odd_names import *  # noqa: F403
from tests.backends.promises.reading import *  # noqa: F403
from tests.backends.promises.storage import Storage
from tests.backends.promises.writing import *  # noqa: F403
from tests.backends.storages import Opening, in_memory, on_s3

pytestmark = pytest.mark.asyncio(loop_scope="module")

_cases = itertools.count()

MOTO_DOES_NOT_CHECK = {
    "test_a_write_on_a_base_that_changed_fails[moto-removed-chunk and tail]": "If-Match of Complete",
}
"""Promises that moto cannot keep. Strict: when it learns to, the test says so."""


@pytest.fixture(scope="module", params=["memory", "seaweed", "moto"])
def opening(request: pytest.FixtureRequest) -> Opening:
    """How to open a fresh storage of each kind."""
    return in_memory if request.param == "memory" else on_s3(request.getfixturevalue(request.param))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared(opening: Opening) -> AsyncIterator[Storage]:
    """One started backend for all tests: each has a directory of its own in it."""
    async with opening() as storage:
        yield storage


@pytest_asyncio.fixture(loop_scope="module")
async def storage(shared: Storage, request: pytest.FixtureRequest) -> AsyncIterator[Storage]:
    """An empty directory of a started backend; whatever a test does there, no upload may be left."""
    if lacking := MOTO_DOES_NOT_CHECK.get(request.node.name):
        request.applymarker(pytest.mark.xfail(reason=f"moto does not check {lacking}", strict=True))
    mine = replace(shared, top=Place((b"case-%d" % next(_cases),)))
    await mine.mkdir("")
    yield mine
    assert await shared.unfinished_uploads() == 0


@pytest_asyncio.fixture(loop_scope="module")
async def empty_storage(opening: Opening) -> AsyncIterator[Storage]:
    """The root of a started backend with nothing in it."""
    async with opening() as storage:
        yield storage
        assert await storage.unfinished_uploads() == 0

"""`s3sftp check` tells an operator what tests/stores/lacks.py declares of the store."""

from __future__ import annotations

import re

import pytest

from s3sftp.backends.s3.features import Feature
from tests.cli.command_process import s3sftp
from tests.conftest import given_store
from tests.stores.lacks import LACKS
from tests.support.server import Server

pytestmark = pytest.mark.timeout(120, func_only=True)  # the first test on s3s-fs builds it in a fixture

UNSEEN = frozenset({Feature.TAGS})
"""What the check does not try with the options of these tests: without `s3.tags` no tag is ever written."""
DROPPED = frozenset({("rclone", Feature.CHECKSUMS)})
"""What a store takes without a word and does not look at: nothing that the server does needs another way."""
AS_AWS = {"moto": {Feature.CONDITIONAL_COPIES, Feature.MATCHED_COPIES}, "seaweed": set[Feature]()}
"""Stores of the tests that have no row in `LACKS`, and what they ignore."""


@pytest.fixture(autouse=True)
def _declared_stores_only(request: pytest.FixtureRequest) -> None:
    given = given_store(request.config)
    if given is not None and given.name not in {*LACKS, *AS_AWS}:
        pytest.skip(f"{given.name} has no row in tests/stores/lacks.py")


def test_the_check_finds_what_the_store_lacks(server: Server) -> None:
    environ = {**server.store.environment(), "HOME": str(server.directory)}
    done = s3sftp("check", "--config", str(server.config_file), **environ)
    described = re.search(r"s3\.lacks = \[(.*?)\] describes it", done.stdout)
    told = set(re.findall(r'"(.*?)"', described[1])) if described else set()
    name = server.store.name
    declared = AS_AWS.get(name) or {lack for lack in LACKS.get(name, {}) if isinstance(lack, Feature)}
    wanted = {str(lack) for lack in declared - UNSEEN if (name, lack) not in DROPPED}
    assert told == wanted, done.stdout + done.stderr

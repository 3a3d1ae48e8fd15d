"""A table for each test."""

from __future__ import annotations

import pytest

from testbed.s3_store import Store
from tests.support.shared_table import SharedTable


@pytest.fixture
def shared_table(moto: Store, monkeypatch: pytest.MonkeyPatch) -> SharedTable:
    """A table that the credentials of the environment open."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto.secret_key)
    return SharedTable(moto)

"""The values of the contract."""

from __future__ import annotations

import pytest

from s3sftp.backends import Place
from s3sftp.errors import InvalidRequest


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"/", b"a\0b"])
def test_a_name_that_no_storage_has_makes_no_place(name: bytes) -> None:
    with pytest.raises(InvalidRequest):
        Place((b"d",)).child(name)

"""Paths and mounts: nothing that a client can send leads outside the prefix."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from s3sftp.errors import ConfigurationError, InvalidRequest, PermissionDenied
from s3sftp.fs import Mounts, Right, VirtualPath

PIECES = st.sampled_from(
    [
        b"..",
        b".",
        b"",
        b"a",
        b"acme",
        b"acme2",
        b"\\..\\",
        b"%2e%2e",
        b"..%2f",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b" ",
    ]
)
HOSTILE = st.one_of(
    st.lists(PIECES, max_size=40).map(b"/".join),
    st.binary(max_size=200),
    st.lists(PIECES, max_size=12).map(b"".join),
)


@given(HOSTILE)
@example(b"." * 4000)
@example(b"../" * 1300)
@example(b"a/" * 2000)
@example(b"/..//../acme2/../../x")
def test_every_path_stays_below_the_prefix(raw: bytes) -> None:
    mounts = Mounts.of("tenants/acme/")
    try:
        place = mounts.place(VirtualPath.parse(raw), Right.READ)
    except InvalidRequest:
        return
    assert place.names[:2] == (b"tenants", b"acme")
    assert b".." not in place.names
    assert place.key.startswith(b"tenants/acme/") or place.key == b"tenants/acme"


@given(HOSTILE)
def test_normalizing_is_idempotent(raw: bytes) -> None:
    try:
        path = VirtualPath.parse(raw)
    except InvalidRequest:
        return
    assert VirtualPath.parse(bytes(path)) == path


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_a_nul_byte_is_refused(before: bytes, after: bytes) -> None:
    with pytest.raises(InvalidRequest, match="NUL"):
        VirtualPath.parse(before + b"\0" + after)


def test_a_path_that_is_too_long_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequest, match="path too long"):
        VirtualPath.parse(b"x" * 5000)


@pytest.mark.parametrize(
    "prefix", ["../x", "a/../b", "a//b", "/a", "a\\b", "a\0b", "a/./b", "a\nb", "a\u2028b", "x" * 1000]
)
def test_a_prefix_that_is_not_plain_names_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="prefix"):
        Mounts.of(prefix)


def test_a_read_only_user_may_neither_write_nor_delete() -> None:
    mounts = Mounts.of("a", read_only=True)
    path = VirtualPath.parse(b"/f")
    assert mounts.place(path, Right.READ).key == b"a/f"
    for need in (Right.WRITE, Right.DELETE):
        with pytest.raises(PermissionDenied):
            mounts.place(path, need)


def test_declared_directories_and_their_ancestors_are_fixed() -> None:
    mounts = Mounts.of("", directories=["in/daily", "out"])
    for raw in (b"/", b"/in", b"/in/daily", b"/out"):
        assert mounts.is_fixed(VirtualPath.parse(raw))
    assert not mounts.is_fixed(VirtualPath.parse(b"/in/dail"))
    assert mounts.fixed_names_in(VirtualPath.parse(b"/")) == [b"in", b"out"]
    assert mounts.fixed_names_in(VirtualPath.parse(b"/in")) == [b"daily"]
    with pytest.raises(PermissionDenied):
        mounts.place(VirtualPath.parse(b"/out"), Right.DELETE)

"""Modification times in metadata, as the tools write them that share a bucket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.backends.s3.metadata.mtime_text import EARLIEST, LATEST, mtime_of, mtime_text


@given(st.floats(0, LATEST))
def test_a_time_comes_back_to_the_nanosecond(mtime: float) -> None:
    assert mtime_of({"mtime": mtime_text(mtime)}) == pytest.approx(mtime, abs=1e-9)


@pytest.mark.parametrize(
    ("mtime", "text"), [(0, "0"), (100, "100"), (1.5, "1.5"), (1e9, "1000000000"), (-1.0, "-1")]
)
def test_a_time_is_written_as_rclone_does(mtime: float, text: str) -> None:
    assert mtime_text(mtime) == text


@pytest.mark.parametrize(
    "metadata",
    [
        {"mtime": "1700000000.123456789"},  # rclone, s3fs since 1.90
        {"mtime": "1700000000"},
        {"mtime": "1700000000123"},
        {"mtime": "1700000000123456"},
        {"mtime": "1700000000123456789"},
        {"mtime": "1700000000123.456"},  # JavaScript's stat
        {"mtime": " 1700000000 "},
        {
            "s3cmd-attrs": "atime:1/ctime:2/gid:20/gname:staff/md5:a18d867021e391c071ce1337bdc24b7f"
            "/mode:33188/mtime:1700000000/uid:501/uname:lhs"
        },
        {"s3cmd-attrs": "mtime:1700000000/uid:501"},
        {"mc-attrs": "atime:1#2/gid:20/mode:33256/mtime:1700000000#123456789/uid:501"},
        {"file-mtime": "1700000000123456789ns", "file-permissions": "0644"},  # DataSync, FSx for Lustre
        {"file-mtime": "1700000000123456789"},  # s5cmd
        {"mtime": "yesterday", "file-mtime": "1700000000123456789ns"},
    ],
    ids=lambda metadata: next(iter(metadata.items()))[1][:25],
)
def test_times_that_other_tools_write_are_understood(metadata: dict[str, str]) -> None:
    assert mtime_of(metadata) == pytest.approx(1_700_000_000.06, abs=0.1)


@pytest.mark.parametrize(
    "text",
    [
        "", "yesterday", "nan", "inf", "-inf", "1e999", "1e5", "0x10", "1_000", "--1", "+1", "1.", ".5",
        "1,5", "9" * 400, "-" + "9" * 400, "9" * 20, "-9999999999999999999", "1" + "0" * 63, "1700000000\0",
        "١٧٠٠٠٠٠٠٠٠", "１７００００００００", "²", "é", "\udcff", "1700000000 1", "ns", "12ms",
        "2020-01-01T00:00:00Z", "1700000000#1234567890", "#1",
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["mtime", "file-mtime"])
def test_a_time_that_makes_no_sense_is_none(name: str, text: str) -> None:
    assert mtime_of({name: text}) is None
    assert mtime_of({"s3cmd-attrs": f"uid:0/mtime:{text}", "mc-attrs": f"mtime:{text}/uid:0"}) is None


@given(st.text(), st.sampled_from(["mtime", "file-mtime", "s3cmd-attrs", "mc-attrs"]), st.booleans())
def test_whatever_stands_there_is_a_time_that_can_be_shown_or_none(
    text: str, name: str, listed: bool
) -> None:
    mtime = mtime_of({name: f"mtime:{text}" if listed else text})
    assert mtime is None or EARLIEST <= mtime <= LATEST

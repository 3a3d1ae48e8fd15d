"""Numbers that processes share: each writes its own column, and all see the sums."""

from __future__ import annotations

import os

import pytest

from s3sftp.runtime.shared_counters import SharedCounters, create_shared_file


@pytest.mark.parametrize("columns", [1, 2, 64])
def test_a_process_sees_the_sum_of_the_others_and_writes_its_own_column_alone(columns: int) -> None:
    descriptor = create_shared_file(8, columns)
    tables = [SharedCounters.shared(descriptor, columns, column) for column in range(columns)]
    os.close(descriptor)
    for table in tables:
        table.add(3, table.column + 1)
    total = columns * (columns + 1) // 2
    for table in tables:
        assert (table.total(3), table.others(3)) == (total, total - table.column - 1)
        assert table.total(2) == table.total(4) == 0
        assert table.part(3, 2).total(0) == total
    parts = list(tables[0].split(3, 1, 4))
    assert [len(part) for part in parts] == [3, 1, 4]
    assert parts[1].total(0) == total
    tables[0].clear_column(columns - 1)
    assert tables[0].total(3) == total - columns

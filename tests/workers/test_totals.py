"""Numbers that all workers know at once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from netguard.workers.totals import COLUMNS, Column, Table, memory


def column(table: Table, at: int, worker: int) -> Column:
    """One that is there."""
    found = table.column(at, worker)
    assert found is not None
    return found


@pytest.fixture
def descriptor() -> int:
    """Memory for three; the table that maps it needs the descriptor no more."""
    return memory(3)


def test_everybody_sees_the_sum_of_the_others(descriptor: int) -> None:
    """At once, and each total for itself; the dead count nothing."""
    tables = [Table(descriptor, 3) for _ in range(3)]
    os.close(descriptor)
    parts = [column(table, 1, worker) for worker, table in enumerate(tables)]
    elsewhere = column(tables[0], 0, 0)
    for part, own in zip(parts, (5, 7, 11), strict=True):
        part.tell(own)
    assert [each.others() for each in parts] == [18, 16, 12]
    assert elsewhere.others() == 0
    assert [tables[0].sum_of(at) for at in (0, 1)] == [0, 23]
    tables[2].forget(1)
    assert [each.others() for each in parts] == [11, 16, 5]


def test_a_moment_is_everybodys(descriptor: int) -> None:
    """As exact as a clock."""
    tables = [Table(descriptor, 3) for _ in range(2)]
    os.close(descriptor)
    first, second = (column(table, 4, worker) for worker, table in enumerate(tables))
    first.moment = 1795959043.123456
    assert second.moment == 1795959043.123456
    assert column(tables[0], 5, 0).moment == 0.0


def test_there_is_an_end_of_them(descriptor: int) -> None:
    """A total beyond is nobody's but its own."""
    table = Table(descriptor, 3)
    os.close(descriptor)
    last = column(table, COLUMNS - 1, 2)
    last.tell(1)
    last.moment = 2.0
    assert table.column(COLUMNS, 0) is None
    assert column(table, COLUMNS - 1, 0).others() == 1


def test_it_is_another_process_that_sees_it(descriptor: int) -> None:
    """The memory is shared, not copied."""
    table = Table(descriptor, 3)
    told = "from netguard.workers.totals import Table; import sys; Table(int(sys.argv[1]), 3).column(0, 2).tell(42)"
    subprocess.run([sys.executable, "-c", told, str(descriptor)], pass_fds=[descriptor], check=True)
    os.close(descriptor)
    assert column(table, 0, 0).others() == 42

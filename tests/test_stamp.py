"""What tells that something is as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netguard.stamp import GRAIN, Stamp

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("modified", "changed"), [(5, 1), (1, 5)])
def test_both_times_must_be_old(modified: int, changed: int) -> None:
    """A copied folder has the times of the original, but the time of change is its own."""
    stamp = Stamp(1, 2, 0, modified, changed)
    assert not stamp.proves(5 + GRAIN)
    assert stamp.proves(6 + GRAIN)


def test_a_files_stamp_knows_its_size(tmp_path: Path) -> None:
    """A file that grew within the clock's grain is told from what it was; a folder's size says nothing."""
    (tmp_path / "list").write_bytes(b"abc")
    assert Stamp.of((tmp_path / "list").stat(), folder=False).size == 3
    assert Stamp.of(tmp_path.stat()).size == 0

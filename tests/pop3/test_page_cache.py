"""Reading what is in memory already."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from netguard.pop3 import page_cache
from netguard.pop3.page_cache import read_at_hand

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_just_written_is_read_on(tmp_path: Path) -> None:
    """Each read goes on where the last one ended, of either kind; at the end nothing comes."""
    (tmp_path / "x").write_bytes(b"one two three")
    descriptor = os.open(tmp_path / "x", os.O_RDONLY)
    try:
        first = read_at_hand(descriptor, 4)
        if first is None:
            pytest.skip("this file system does not say what is in memory")
        assert (first, os.read(descriptor, 4), read_at_hand(descriptor, 99)) == (b"one ", b"two ", b"three")
        assert read_at_hand(descriptor, 99) == b""
    finally:
        os.close(descriptor)


def test_what_must_be_waited_for_is_left_to_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of any kind, or a system without such reads, is no data and no failure."""
    assert read_at_hand(-1, 4) is None
    monkeypatch.setattr(page_cache, "_NOWAIT", None)
    assert read_at_hand(-1, 4) is None

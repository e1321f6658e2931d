"""Reading what is in memory already."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from netguard.pop3 import page_cache
from netguard.pop3.page_cache import open_at_hand, read_at_hand

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


def test_what_the_kernel_knows_by_heart_is_opened(tmp_path: Path) -> None:
    """What was just made is; a link is followed nowhere, and what is not there is no failure."""
    (tmp_path / "x").write_bytes(b"here")
    descriptor = open_at_hand(str(tmp_path / "x"))
    if descriptor is None:
        pytest.skip("this file system does not say what is in memory")
    assert os.read(descriptor, 9) == b"here"
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)
    (tmp_path / "link").symlink_to("x")
    (tmp_path / "folder").symlink_to(tmp_path)
    for path in ("link", "folder/x", "none", "x/y", "x" * 300, "\udcff"):
        assert open_at_hand(str(tmp_path / path)) is None


def test_where_the_kernel_cannot_tell_nothing_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another system, or a Linux that forbids the call or is too old for it."""
    (tmp_path / "x").touch()
    monkeypatch.setattr(page_cache, "_OPENAT2", 99_999)
    assert open_at_hand(str(tmp_path / "x")) is None
    monkeypatch.setattr(page_cache, "_call", None)
    assert open_at_hand(str(tmp_path / "x")) is None
    monkeypatch.setattr(sys, "platform", "freebsd14")
    assert page_cache._system_call() is None


def test_what_must_be_waited_for_is_left_to_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of any kind, or a system without such reads, is no data and no failure."""
    assert read_at_hand(-1, 4) is None
    monkeypatch.setattr(page_cache, "_NOWAIT", None)
    assert read_at_hand(-1, 4) is None

"""Tests for netguard.commands.top_screen: the whole screen, and afterwards what was there before."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

import pytest

pytest.importorskip("rich", reason="the extra `top` is not installed")

from rich.console import Console

from netguard.commands.top_model import Model
from netguard.commands.top_screen import show


def test_the_screen_is_taken_and_given_back() -> None:
    """Even when the loop raises."""
    out = StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=24, color_system=None)

    def loop(draw: Callable[[], object]) -> None:
        draw()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        show(Model(), loop, console)
    written = out.getvalue()
    assert written.startswith("\x1b[?1049h")
    assert "netguard top" in written
    assert written.endswith("\x1b[?1049l")

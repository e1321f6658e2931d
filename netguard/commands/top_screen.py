"""The terminal of `netguard top`, by rich."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.live import Live

from netguard.commands.top_model import Model
from netguard.commands.top_view import screen


def show(model: Model, loop: Callable[[Callable[[], object]], object], console: Console | None = None) -> None:
    """Show a model on the whole screen while a loop runs; the terminal is then as it was.

    Args:
        model: what to show.
        loop: runs until the view is left; it is given what draws the screen anew.
        console: the terminal; the process's own unless given.
    """
    console = console or Console(highlight=False)
    with Live(console=console, screen=True, auto_refresh=False) as live:

        def draw() -> None:
            width, height = console.size
            live.update(screen(model, width, height), refresh=True)

        loop(draw)

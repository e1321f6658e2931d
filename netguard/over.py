"""What stands for a connection that is over."""

from __future__ import annotations

from typing import Any


class Over:
    """Stands for the connection of a meter whose connection is over: nothing holds it, and nothing happens to it."""

    state = "ended"
    reason = house = known = None

    def __getattr__(self, name: str) -> Any:
        """Every verb does nothing."""
        if name.startswith("__"):
            raise AttributeError(name)
        return _nothing


def _nothing(*_: object) -> None:
    """For what is over."""


OVER: Any = Over()

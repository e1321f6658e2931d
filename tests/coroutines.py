"""Coroutines that wait for nothing."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import ensureDeferred

T = TypeVar("T")


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """What it returns, now."""
    found: list[T] = []
    ensureDeferred(coroutine).addCallbacks(found.append, lambda why: why.raiseException())
    (result,) = found
    return result

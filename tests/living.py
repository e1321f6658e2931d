"""Whether something still lives, of kinds that are kept too small for weak references."""

from __future__ import annotations

import gc
from collections.abc import Callable


def living(thing: object) -> Callable[[], bool]:
    """What says whether it lives; it is not kept alive by that. Others of its kind are not to be made meanwhile."""
    number, kind = id(thing), type(thing)
    return lambda: any(id(each) == number and type(each) is kind for each in gc.get_objects())

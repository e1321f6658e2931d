"""What the pages know of a service beyond its figures."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen


@frozen
class About:
    """How a service was set up.

    Args:
        name: what it is called.
        surface: whose defaults hold for it; see :mod:`netguard.promises`.
        guards: the names of the guards that are on.
        options: their options, with the values that hold.
        observed: those of them whose guards only observe.
        settings: what else is on, by the name of its option.
        may_cut: whether whoever may ask for pages may also cut connections.
    """

    name: str = "netguard"
    surface: str = "guard"
    guards: tuple[str, ...] = ()
    options: Mapping[str, str] = field(factory=dict)
    observed: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(factory=dict)
    may_cut: bool = False

"""The tallies of a native transport."""

from __future__ import annotations

from typing import Any

from netguard.native.below import Below
from netguard.wrapper import Wrapper


class NativeMeter(Wrapper):
    """What a native transport delivers to, by itself or through TLS.

    It is the first meter, but for one thing: the application has the transport itself for its transport, and that
    counts what is written.
    """

    __slots__ = ()

    @property
    def below(self) -> Any:
        """The transport, past what the application's calls have to pass."""
        return Below(self.transport)

    def outside(self) -> Any:
        """What the application gets for its transport."""
        return self.transport

"""The least time from one login of a user to the next (LOGIN-DELAY, RFC 2449, section 6.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

# So many users are remembered before those whose time is over are looked for.
_FEW = 1024


class LoginDelays:
    """Who has logged in lately, of the users who have to wait.

    It holds nobody but users who exist, and forgets those whose time is over.

    Args:
        reactor: tells time.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._until: dict[str, float] = {}
        self._many = _FEW

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._until)

    def too_soon(self, name: str) -> bool:
        """Whether this user has to wait."""
        return self._until.get(name, 0.0) > self._reactor.seconds()

    def note(self, name: str, delay: float | None) -> None:
        """A user has logged in.

        Args:
            name: the user's.
            delay: seconds until the next login may be; None for no such rule.
        """
        if not delay:
            return
        now = self._reactor.seconds()
        if len(self._until) >= self._many:
            self._until = {each: until for each, until in self._until.items() if until > now}
            self._many = max(_FEW, 2 * len(self._until))
        self._until[name] = now + delay

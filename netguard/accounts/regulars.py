"""Who was let in since the accounts file last changed: they are let in again without a look into it, or a thread.

The rules of this file:

* Only who proved to be somebody is remembered, and only a right answer is spared the look-up. A wrong one goes the way
  of everybody, after the same work, so that nobody can tell by the time it takes who was there before.
* What is remembered is true as long as the file is the very same: with any change of it, be it a user who was removed
  or somebody else's new password, all of it is forgotten.
* A secret is kept as a :class:`~netguard.secret.Secret`, which is overwritten when it is dropped, and at the end of the
  service. It serves for `AGE` seconds; then its user is looked up again.

All of it is for the reactor's thread.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from attrs import field, frozen

from netguard.accounts.credentials import generate
from netguard.page_cache import look_at_hand
from netguard.secret import Secret
from netguard.stamp import Stamp
from netguard.wire import apop

if TYPE_CHECKING:
    from collections.abc import Callable

    from netguard.accounts.interface import Account

MOST = 4096
"""Users that are remembered; who was looked up first goes first."""

AGE = 600.0


@frozen
class Regular:
    """A user who was let in.

    Args:
        account: whose it is.
        secret: with which that was proved.
        stamp: what the file was when it was asked; None where that proves nothing, or where looking may have to wait.
    """

    account: Account
    secret: Secret = field(repr=False)
    stamp: Stamp | None


class Regulars:
    """The users of one accounts file who were let in.

    Args:
        path: the file.
        matches: whether an APOP digest is right.
        now: seconds, of a clock that nobody sets.
        most: how many are remembered.
    """

    def __init__(
        self,
        path: str,
        *,
        matches: Callable[[bytes, bytes, bytes], bool] = apop.matches,
        now: Callable[[], float] = time.monotonic,
        most: int = MOST,
    ) -> None:
        self._path = path
        self._matches = matches
        self._now = now
        self._most = most
        self._nobodys_secret = Secret(generate())
        self._stamp: Stamp | None = None
        self._known: dict[bytes, tuple[float, Regular]] = {}

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._known)

    def note(self, name: bytes, regular: Regular) -> None:
        """Remember somebody who was let in.

        Args:
            name: the user's name as it came.
            regular: who it is.
        """
        if regular.stamp != self._stamp:
            self.forget()
            self._stamp = regular.stamp
        if self._stamp is None:
            return
        now, known = self._now(), self._known
        known.pop(name, None)
        while known and (len(known) >= self._most or next(iter(known.values()))[0] <= now):
            del known[next(iter(known))]
        known[name] = now + AGE, regular

    def apop(self, name: bytes, timestamp: bytes, digest: bytes) -> Account | None:
        """The account, if it is somebody's who was let in before, and has the same secret; None says nothing.

        Args:
            name: the user's name as it came.
            timestamp: what the greeting offered.
            digest: as the client sent it.
        """
        until, known = self._known.get(name, (0.0, None))
        secret = self._nobodys_secret if known is None else known.secret
        right = self._matches(timestamp, secret.reveal(), digest)
        found = look_at_hand(self._path)
        if found is None or Stamp.of(found, folder=False) != self._stamp or until <= self._now():
            return None
        return known.account if right and known is not None else None

    def forget(self) -> None:
        """Remember nobody."""
        self._stamp = None
        self._known.clear()

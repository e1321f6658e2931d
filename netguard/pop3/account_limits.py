"""The limits that an account has of its own, on the connection of its session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netguard.errors import LifetimeOver, TooMuchSent

if TYPE_CHECKING:
    from netguard.accounts.interface import Account
    from netguard.connection import Connection


def impose(guarded: Connection | None, account: Account) -> None:
    """Let a session end by the limits of its user's account; they come beside those of the service.

    Args:
        guarded: the connection, which is settled; None where no guard is around, and so nothing that could end it.
        account: whose session it is.
    """
    if guarded is None:
        return
    lifetime, most = account.lifetime, account.max_out
    if lifetime is not None:
        began, limit = guarded.age, lifetime
        guarded.after(limit, lambda connection: connection.cut(LifetimeOver(limit, connection.age - began)))
    if most is not None:
        guarded.when_sent(most, lambda connection: connection.cut(TooMuchSent(most, connection.sent + 1)))

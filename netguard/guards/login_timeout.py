"""A time limit on the login."""

from __future__ import annotations

from netguard.errors import LoginTooSlow
from netguard.guard import Connection, Guard, frozen
from netguard.options import option
from netguard.units import duration


@frozen
class LoginTimeout(Guard):
    """Cut a connection whose application does not say in time that the peer is past its login.

    The application says so with :func:`netguard.settle`.

    Args:
        after: seconds from the connection to the login.
    """

    after: float = option(
        "login",
        duration,
        "Cut a connection whose peer is not past its login within this time (for applications that say so).",
        defaults={"pop": "60s"},
    )

    def open(self, connection: Connection) -> None:
        """Set the deadline."""
        connection.after(self.after, self.cut)

    def cut(self, connection: Connection) -> None:
        """The deadline has passed."""
        if connection.settled_at is None:
            connection.cut(LoginTooSlow(self.after * connection.patience, connection.age))

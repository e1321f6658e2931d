"""How a POP3 session ends while the service stops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import implementer

from netguard.drainable import IDrainable
from netguard.wire.pop3 import STOPPING

if TYPE_CHECKING:
    from netguard.pop3.outlet import Outlet
    from netguard.wire.pop3 import Pop3Machine


@implementer(IDrainable)
class Parting:
    """The part of a session that ends it for the service's sake; what was marked to be removed stays in the mailbox."""

    _machine: Pop3Machine
    _outlet: Outlet
    _over: bool

    def drain(self) -> None:
        """Finish the command that is under way, and answer the next one by the end; QUIT is obeyed."""
        self._machine.draining = True

    def depart(self) -> bool:
        """End a session that waits for its client, who is told; as Dovecot does."""
        if not self._over and self._machine.idle:
            self._outlet.put(STOPPING.answer)
            self._close(STOPPING.reason)
        return self._over

    def _close(self, reason: str) -> None:
        """End the connection after what was answered."""
        raise NotImplementedError

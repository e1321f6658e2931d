"""How a refused connection is answered."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IProtocol
from zope.interface import implementer

from netguard.meter import abort

if TYPE_CHECKING:
    from twisted.python.failure import Failure


def refusal(factory: object) -> Any:
    """What the ``buildProtocol`` that calls this answers for a refused connection.

    None, which costs least: the transport closes the socket. But Twisted's WrappingFactory, and with it TLS (listenSSL)
    and PROXY, wraps whatever it is answered, None too, and fails later (twisted issue 5232); it gets a stand-in.

    Args:
        factory: whose ``buildProtocol`` it is.
    """
    caller = sys._getframe(2).f_locals.get("self")  # noqa: SLF001 - there is no public way to know one's caller
    return Refused() if getattr(caller, "wrappedFactory", None) is factory else None


@implementer(IProtocol)
class Refused:
    """Stands for a connection that was refused where None cannot be answered: it ends what it is given."""

    factory = None

    def makeConnection(self, transport: Any) -> None:
        """End it."""
        abort(transport)

    def connectionMade(self) -> None:
        """It is ended already."""

    def dataReceived(self, data: bytes) -> None:
        """Nothing that comes matters."""

    def connectionLost(self, reason: Failure) -> None:
        """Nothing was there to end."""

"""How a refused connection is answered."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IProtocol, ISSLTransport
from zope.interface import implementer

from netguard.meter import abort
from netguard.service import CLOSE

if TYPE_CHECKING:
    from twisted.python.failure import Failure


def refusal(factory: Any) -> Any:
    """What the ``buildProtocol`` that calls this answers for a refused connection.

    None, which costs least: the transport closes the socket. But Twisted's WrappingFactory, and with it TLS (listenSSL)
    and PROXY, wraps whatever it is answered, None too, and fails later (twisted issue 5232); it gets a stand-in.

    Args:
        factory: whose ``buildProtocol`` it is.
    """
    style = factory.service.style
    if style != CLOSE:
        return Refused(factory.answer)
    caller = sys._getframe(2).f_locals.get("self")  # noqa: SLF001 - there is no public way to know one's caller
    return Refused() if getattr(caller, "wrappedFactory", None) is factory else None


@implementer(IProtocol)
class Refused:
    """Stands for a connection that was refused where None is not enough: it ends what it is given.

    An abort resets the connection. A text is sent only where that costs nothing: not where a handshake comes first.

    Args:
        text: what to tell the peer before.
    """

    factory = None

    def __init__(self, text: bytes | None = None) -> None:
        self.text = text

    def makeConnection(self, transport: Any) -> None:
        """End it."""
        if self.text is None or ISSLTransport.providedBy(transport):
            abort(transport)
        else:
            transport.write(self.text)
            transport.loseConnection()

    def connectionMade(self) -> None:
        """It is ended already."""

    def dataReceived(self, data: bytes) -> None:
        """Nothing that comes matters."""

    def connectionLost(self, reason: Failure) -> None:
        """Nothing was there to end."""

"""How a connection comes to its application: asked by the guards, who may take their time or hear the first bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from netguard.early import WAITING, Early
from netguard.encryption import Encryption
from netguard.errors import OpeningFailed, Unwanted
from netguard.wrapper import Wrapper

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress

    from netguard.connection import Connection
    from netguard.opening import Opening
    from netguard.reports import Reports

_log = Logger(namespace="netguard")

Follower = Callable[[Wrapper, Any], object]
"""Called with each connection, and with the application's protocol once that has its transport, or else with the
:class:`~twisted.python.failure.Failure` that says why it never will."""


class Admission:
    """The part of a guarded factory that lets connections in.

    Attributes:
        wrapped: the application's factory.
        opening: what the guards want of a new connection.
        tls: what begins TLS on connections that the guards have let in, so that a PROXY header comes before it; None
            where there is no TLS, or somebody else begins it.
        follower: who is told what became of each connection, or None.
    """

    wrapped: Any
    opening: Opening
    tls: Encryption | None = None
    follower: Follower | None
    _reports: Reports

    def begin_tls_by(self, tls: Any) -> None:
        """Begin TLS on every connection that the guards have let in.

        Args:
            tls: any context factory of Twisted's.
        """
        self.tls = Encryption(tls, self)

    def report(self, connection: Connection, name: str, reason: BaseException | None = None, **about: object) -> None:
        """Tell an event of a connection's life."""
        self._reports.tell(connection, name, reason, **about)

    def failed(self, connection: Connection, doing: str) -> None:
        """Tell that code called for this connection raised; the exception is the current one."""
        _log.failure("netguard: {doing} failed in session {session}", doing=doing, session=connection.number)

    def _build(self, wrapper: Wrapper, addr: IAddress | None) -> None:
        connection = wrapper.connection
        if connection.state != "opening":
            return
        try:
            protocol = self.wrapped.buildProtocol(addr)
        except BaseException:
            connection.refuse(Unwanted())
            raise
        if protocol is None:
            connection.refuse(Unwanted())
        elif connection.admitted:
            wrapper.protocol = protocol
            self._reports.figures.accepted += 1
            if self._reports.verbose:
                self.report(connection, "accepted")

    def connected(self, wrapper: Wrapper) -> None:
        """The transport is there: start the application, or wait for the guards."""
        if wrapper.early is None:
            self._start(wrapper)
        else:
            self._await(wrapper, wrapper.early)

    def _await(self, wrapper: Wrapper, early: Early) -> None:
        if early.reader is not None:
            wrapper.connection.resume(WAITING)
            wrapper.connection.after(early.within, self.heard_enough)
            if kept := early.taken():
                self.hear(wrapper, kept)
        else:
            wrapper.connection.pause(WAITING)
            waiting = self.opening.wait_for(wrapper.connection, early)
            waiting.addCallback(lambda _: self._ask_on(wrapper, early))

    def hear(self, wrapper: Wrapper, data: bytes) -> None:
        """Bytes came for a guard that reads the first ones itself, or none did in time."""
        early = wrapper.early
        heard = None if early is None else self.opening.hear(wrapper.connection, early, data)
        if early is not None and heard is not None:
            early.reader = None
            wrapper.connection.claim(heard)
            early.address = heard.claimed or early.address
            if heard.rest:
                early.keep(wrapper.connection, "dataReceived", heard.rest)
            self._ask_on(wrapper, early)

    def heard_enough(self, connection: Connection) -> None:
        """The time of a reader is up: it has heard enough, or the connection is refused."""
        wrapper: Any = connection.meter
        early = wrapper.early
        if early is not None and early.reader is not None and connection.age >= early.within * connection.patience:
            self.hear(wrapper, b"")
            if wrapper.early is early and early.reader is not None:
                connection.refuse(OpeningFailed())

    def _ask_on(self, wrapper: Wrapper, early: Early) -> None:
        connection = wrapper.connection
        if connection.state != "opening":
            return
        more = self.opening.ask(connection, early.openers, early.address)
        if more is not None:
            early.goes_on_as(more)
            wrapper.early = more
            self._await(wrapper, more)
        elif connection.admitted:
            self._build_late(wrapper, early)

    def _build_late(self, wrapper: Wrapper, early: Early) -> None:
        connection = wrapper.connection
        try:
            self._build(wrapper, early.address)
            if connection.state == "opening":
                self._start(wrapper)
        except Exception:  # noqa: BLE001 - as a Port would: log it, and let the connection go
            self.failed(connection, "the start of the application")
            if connection.admitted:
                wrapper.close()
        else:
            connection.resume(WAITING)

    def _start(self, wrapper: Wrapper) -> None:
        protocol = wrapper.protocol
        if self._reports.verbose:
            self.report(wrapper.connection, "opened")
        if self.tls is None:
            wrapper.start()
        else:
            self._start_inside_tls(wrapper)
        if self.follower is not None:
            self.follower(wrapper, protocol)

    def _start_inside_tls(self, wrapper: Wrapper) -> None:
        """Begin TLS, of which everything that has come is a part, and let the application have what is inside."""
        transport = wrapper.transport
        come = b"" if wrapper.early is None else wrapper.early.taken()
        transport.startTLS(self.tls)
        wrapper.connection.secure()
        wrapper.start()
        if come and wrapper.connection.state == "open":
            transport.protocol.dataReceived(come)

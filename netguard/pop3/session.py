"""One POP3 session on a Twisted transport: the machine decides, this acts.

The rules of this file:

* Whatever ends a session (QUIT, a close, a reset, our own failure) gives the mailbox back, once, as soon as
  nothing works on it any more. Only the machine's request to commit removes anything.
* At most one chunk of one message is on its way through memory.
* A failure of ours is one line in the log, and one answer or the end; never a traceback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import Protocol, connectionDone

from netguard.application import connection_of, misdeed, settle
from netguard.pop3.account_limits import impose
from netguard.pop3.entrance import Entrance
from netguard.pop3.login import Entered
from netguard.pop3.outlet import Outlet
from netguard.pop3.parting import Parting
from netguard.pop3.record import Record, failure_fields, mechanism_of, running_out, whose, word_for
from netguard.pop3.transfer import Outcome, Transfer
from netguard.wire import pop3_events as ev
from netguard.wire.pop3 import Pop3Machine

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from twisted.python.failure import Failure

    from netguard.pop3.interface import Mailbox
    from netguard.pop3.settings import Settings

    _Work = Coroutine[Deferred[Any], Any, None]


class Pop3Session(Parting, Protocol):
    """The server's side of one connection.

    Args:
        settings: what all sessions share.

    Attributes:
        record: what this session did so far.
    """

    transport: Any

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.record = Record()
        self._over = self._lost = self._secure = False
        self._running = self._deaf = self._updating = False
        self._entrance: Entrance | None = None
        self._mailbox: Mailbox | None = None
        self._transfer: Transfer | None = None
        self._pieces: Iterator[bytes] | None = None

    # What the transport says

    def connectionMade(self) -> None:
        """Greet the client."""
        self._since = self._settings.reactor.seconds()
        self._stamp = self._settings.stamp()
        can_switch = self._settings.tls is not None and hasattr(self.transport, "startTLS")
        self._machine = Pop3Machine(
            self._stamp,
            stls=can_switch,
            circumstances=self._settings.clear,
            random=self._settings.random,
            host=self._settings.hostname,
        )
        self._outlet = Outlet(self.transport, self._resumed)
        self._outlet.put(self._machine.greeting)
        self._outlet.flush()

    def dataReceived(self, data: bytes) -> None:
        """Obey what came, as far as it may be obeyed now."""
        self.record.octets_in += len(data)
        self._guarded(self._run, data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop; give the mailbox back, but when messages are being removed from it, only after that."""
        self._lost = True
        self.record.reason = self.record.reason or word_for(reason.value)
        self._stop()
        self._outlet.lost()
        self._conclude()

    def _resumed(self) -> None:
        """The client takes answers again."""
        self._guarded(self._run if self._pieces is None else self._write_pieces)

    def _guarded(self, do: Callable[..., None], *args: object) -> None:
        try:
            do(*args)
        except Exception:  # noqa: BLE001 - nothing that a client sends may end in a traceback
            self._broken()

    # Obeying

    def _run(self, data: bytes = b"") -> None:
        if self._running:
            return  # an outcome that came while its request was being made: the loop below goes on with the rest
        self._running = True
        machine, outlet = self._machine, self._outlet
        if not self._secure and ISSLTransport.providedBy(self.transport):
            self._secure = True
            machine.circumstances = self._settings.inside_tls(self.transport)
        try:
            while True:
                machine.blocked = outlet.full
                happened = machine.receive(data)
                data = b""
                if not happened:
                    break
                self._act(happened)
        finally:
            self._running = False
        outlet.flush()
        self._brake()

    def _act(self, happened: list[ev.Event]) -> None:
        for event in happened:
            if isinstance(event, bytes):
                self._outlet.put(event)
                continue
            work = self._ACTIONS[type(event)](self, event)
            if work is not None:
                Deferred.fromCoroutine(self._guard(work))

    def _go_on(self, happened: list[ev.Event]) -> None:
        """Act on the outcome of a request, then on the commands that waited behind it."""
        self._act(happened)
        self._run()

    def _brake(self) -> None:
        """Read no more while too many commands wait; read again when they were obeyed."""
        deaf = self._machine.sated
        if deaf is not self._deaf and not self._lost:
            self._deaf = deaf
            if deaf:
                self.transport.pauseProducing()
            else:
                self.transport.resumeProducing()

    async def _guard(self, work: _Work) -> None:
        try:
            await work
        except Exception:  # noqa: BLE001 - whatever fails in the store or in a mailbox, other sessions go on
            self._broken()

    # The machine's requests

    async def _enter(self, request: ev.Login) -> None:
        entrance = self._entrance
        if entrance is None:
            entrance = Entrance(self._settings, self.transport, self._machine, self._stamp, self._trouble)
            self._entrance = entrance
        result = await entrance.enter(request)
        self.record.denied, self.record.claimed = entrance.denied, entrance.claimed
        if not isinstance(result, Entered):
            if not self._over:
                self._go_on(result)
        elif self._over:
            result.mailbox.release()
        else:
            self._welcome(result, mechanism_of(request))

    def _welcome(self, entered: Entered, mechanism: str) -> None:
        account, self._mailbox = entered.account, entered.mailbox
        self.record.user, self.record.mechanism = account.name, mechanism
        settle(self.transport)
        impose(connection_of(self.transport), account)
        if few := running_out(account):
            self._report("otp_low", few)
        terms = self._settings.terms
        opened = self._machine.opened(self._mailbox.messages, terms.login_delay_of(account), terms.expire_of(account))
        self._go_on(opened)

    def _switch(self, _: ev.StartTls) -> None:
        self._outlet.flush()
        self.transport.startTLS(self._settings.tls)
        self._act(self._machine.switched())

    async def _send(self, request: ev.Fetch) -> None:
        assert self._mailbox is not None  # noqa: S101 - the machine asks only after a login
        self._transfer = Transfer(self._outlet, self._trouble)
        outcome = await self._transfer.run(self._mailbox, request)
        self._transfer = None
        if self._over:
            return
        if outcome is Outcome.SENT:
            self.record.retrieved += request.top is None
            self._go_on(self._machine.fetched())
        elif outcome is Outcome.BROKEN:
            self._close("message broke off")  # what was sent has no end, and the client must see that
        else:
            self._go_on(self._machine.unreadable(gone=outcome is Outcome.GONE))

    def _list(self, request: ev.Listing) -> None:
        self._pieces = request.pieces
        self._write_pieces()

    def _write_pieces(self) -> None:
        while self._pieces is not None and not self._outlet.full:
            piece = next(self._pieces, None)
            if piece is not None:
                self._outlet.put(piece)
            else:
                self._pieces = None
                self._go_on(self._machine.listed())
        self._outlet.flush()

    async def _update(self, request: ev.Commit) -> None:
        assert self._mailbox is not None  # noqa: S101 - the machine asks only after a login
        failed = len(request.deleted)
        self._updating = True
        try:
            with self._settings.updates:
                failed = await self._mailbox.commit(request.deleted)
        except Exception:  # noqa: BLE001 - a file system may fail in any way; nothing is then said to be removed
            self._trouble("removing messages")
        self._updating = False
        self.record.deleted = len(request.deleted) - failed
        if self._lost:
            self._conclude()
        elif self._over:
            self._release()
        else:
            self._go_on(self._machine.committed(failed))

    def _malformed(self, event: ev.Malformed) -> None:
        self._report("malformed", {"problem": event.problem})
        misdeed(self.transport, "malformed", 0.2)  # little: honest clients try commands that may not be there

    def _end(self, event: ev.Close) -> None:
        self._close(event.reason)

    # The end

    def _close(self, reason: str) -> None:
        """End the connection after what was answered."""
        self.record.reason = self.record.reason or reason
        self._stop()
        self._outlet.close()

    def _stop(self) -> None:
        """Obey nothing more, stop what is under way, and give the mailbox back as soon as possible."""
        self._over = True
        self._pieces = None
        self._machine.close()
        entrance, self._entrance = self._entrance, None  # which holds us
        if entrance is not None:
            entrance.close()
        if self._transfer is not None:
            self._transfer.stop()
        if not self._updating:
            self._release()

    def _release(self) -> None:
        mailbox, self._mailbox = self._mailbox, None
        if mailbox is not None:
            mailbox.release()

    def _conclude(self) -> None:
        """Write the session's line, once nothing of it goes on any more."""
        if not self._updating:
            self._release()
            self.record.octets_out = self._outlet.octets
            self.record.tls = self._machine.circumstances.secure
            self._report("session", self.record.fields(self._settings.reactor.seconds() - self._since))

    def _broken(self) -> None:
        """Something of ours failed: one line in the log, one answer where one can be given, and the end."""
        self._trouble("serving a session")
        if not self._over:
            if self._pieces is None and self._transfer is None:
                self._outlet.put(ev.INTERNAL_ERROR)
            self._close("internal error")

    def _trouble(self, doing: str) -> None:
        self._report("error", failure_fields(doing))

    def _report(self, name: str, fields: dict[str, object]) -> None:
        self._settings.report(name, {**whose(self.transport), **fields})

    _ACTIONS: ClassVar[dict[type, Callable[..., _Work | None]]] = {
        **dict.fromkeys(ev.LOGINS, _enter),
        ev.StartTls: _switch,
        ev.Fetch: _send,
        ev.Listing: _list,
        ev.Commit: _update,
        ev.Malformed: _malformed,
        ev.Close: _end,
    }

"""Stand-ins for what a POP3 session talks to: accounts, mailboxes, and a transport that can be full."""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import directlyProvides

from netguard.accounts.interface import Account, AccountsTrouble
from netguard.pop3.factory import Pop3Factory
from netguard.pop3.login_terms import LoginTerms
from netguard.pop3.mailbox_errors import MailboxInUse
from netguard.pop3.session import Pop3Session
from netguard.wire import apop, mechanisms, otp, sasl, scram

FULL = 65_536


class Held:
    """Answers of slow things: at once, or, when `slow`, one by one as the test lets them go."""

    def __init__(self) -> None:
        self.slow = False
        self.waiting: deque[Callable[[], None]] = deque()

    def later(self, value: Any) -> Deferred[Any]:
        """A Deferred of the value, or of the failure when it is an exception."""
        if not self.slow:
            return fail(value) if isinstance(value, Exception) else succeed(value)
        result: Deferred[Any] = Deferred()
        self.waiting.append(lambda: result.errback(value) if isinstance(value, Exception) else result.callback(value))
        return result

    def go(self) -> None:
        """Let the oldest answer go."""
        self.waiting.popleft()()

    def go_all(self) -> None:
        """Let everything go, and what follows from it."""
        while self.waiting:
            self.go()


class Accounts:
    """Users who are known by one secret each."""

    def __init__(self, held: Held) -> None:
        self.secrets = {b"alice": b"wonder land", b"bob": b"builder"}
        self.asked: list[tuple[bytes, ...]] = []
        self.settings: dict[str, dict[str, Any]] = {}
        self.chains = {"alice": otp.State.begin("sha1", b"a pass phrase", "seed1", 100)}
        self.mechanisms: tuple[str, ...] = mechanisms.ALL
        self.questions: list[sasl.Question] = []
        self.anybody = False
        self.failure: Exception | None = None
        self._held = held

    def _answer(self, name: bytes, right: bool) -> Deferred[Account | None]:
        if self.failure is not None:
            return self._held.later(self.failure)
        known = self.anybody or (name in self.secrets and right)
        return self._held.later(self._of(name.decode("utf-8", "replace")) if known else None)

    def _of(self, name: str) -> Account:
        return Account(name, **self.settings.get(name, {}))

    def check_apop(self, name: bytes, timestamp: bytes, digest: bytes) -> Deferred[Account | None]:
        """Check a digest."""
        self.asked.append((b"apop", name, timestamp, digest))
        return self._answer(name, apop.matches(timestamp, self.secrets.get(name, b""), digest))

    def check_password(self, name: bytes, password: bytes) -> Deferred[Account | None]:
        """Check a password."""
        self.asked.append((b"password", name, password))
        return self._answer(name, self.secrets.get(name) == password)

    def account(self, name: str) -> Deferred[Account | None]:
        """Find an account."""
        return self._answer(name.encode(), name.encode() in self.secrets)

    def check_identity(self, wanted: str, identities: Collection[str]) -> Deferred[str | None]:
        """Who a certificate names."""
        known = [name for name in identities if name.encode() in self.secrets and wanted in ("", name)]
        return self._held.later(known[0] if len(known) == 1 else None)

    def answer(self, question: sasl.Question) -> Deferred[Any]:
        """Answer a question."""
        self.questions.append(question)
        if self.failure is not None:
            return self._held.later(self.failure)
        return self._held.later(self._answer_to(question))

    def _answer_to(self, question: sasl.Question) -> object:
        match question:
            case sasl.FindVerifier(name):
                secret = self.secrets.get(name.encode())
                mock = scram.mock(b"secret", name, scram.LEAST_ITERATIONS)
                return mock if secret is None else scram.Verifier.of(secret, mock.salt, mock.iterations)
            case sasl.FindOtp(name):
                return self.chains.get(name, otp.mock(b"secret", name))
            case sasl.SpendOtp(name, before, after):
                right = self.chains.get(name) == before
                if right:
                    self.chains[name] = cast("otp.State", after)
                return right
            case sasl.CheckPassword(raw, password):
                return raw.decode() if self.secrets.get(raw) == password else None
            case sasl.CheckCram(raw, challenge, digest):
                secret = self.secrets.get(raw, b"")
                return raw.decode() if hmac.digest(secret, challenge, "md5").hex().encode() == digest else None
            case sasl.CheckToken(_, token):
                return {"token-of-alice": "alice"}.get(token)
        raise AssertionError(question)


@dataclass
class Mail:
    """A message: its size and unique id as they are listed, and its chunks as they go on the wire."""

    size: int
    uid: str
    chunks: Sequence[bytes | Exception] = (b"Subject: x\r\n\r\nbody\r\n.\r\n",)


@dataclass
class Reading:
    """A message that is being read."""

    held: Held
    chunks: deque[bytes | Exception]
    closed: int = 0
    taken: int = 0

    def next(self) -> Deferred[bytes]:
        """The next chunk."""
        self.taken += 1
        return self.held.later(self.chunks.popleft() if self.chunks and not self.closed else b"")

    def close(self) -> None:
        """Count."""
        self.closed += 1


@dataclass
class Mailbox:
    """An open mailbox that notes what is done to it."""

    messages: Sequence[Mail]
    held: Held
    on_release: Callable[[], None]
    failed: int | Exception = 0
    read_failure: Exception | None = None
    readings: list[Reading] = field(default_factory=list)
    reads: list[tuple[int, int | None]] = field(default_factory=list)
    reads_as_utf8: list[bool] = field(default_factory=list)
    committed: list[tuple[int, ...]] = field(default_factory=list)
    committing: bool = False
    released: int = 0

    def read(self, index: int, top: int | None = None, *, utf8: bool = True) -> Deferred[Reading]:
        """Begin to read a message."""
        self.reads.append((index, top))
        self.reads_as_utf8.append(utf8)
        if self.read_failure is not None:
            return self.held.later(self.read_failure)
        self.readings.append(Reading(self.held, deque(self.messages[index].chunks)))
        return self.held.later(self.readings[-1])

    def commit(self, deleted: Collection[int]) -> Deferred[int]:
        """Note what is removed."""
        self.committing = True

        def done(result: Any) -> Any:
            self.committing = False
            self.committed.append(tuple(deleted))
            return result

        return self.held.later(self.failed).addBoth(done)

    def release(self) -> None:
        """Count, and mind that nothing is under way."""
        assert not self.committing
        self.released += 1
        self.on_release()


class Opener:
    """Opens one mailbox a user, for one session at a time."""

    def __init__(self, held: Held) -> None:
        self.mails: Sequence[Mail] = [Mail(120, "a1"), Mail(200, "b2"), Mail(30, "c3")]
        self.opened: list[str] = []
        self.mailboxes: list[Mailbox] = []
        self.in_use: set[str] = set()
        self.failure: Exception | None = None
        self._held = held

    def open(self, user: str, where: str | None = None) -> Deferred[Mailbox]:
        """Open a mailbox."""
        self.opened.append(user if where is None else where)
        if self.failure is not None:
            return self._held.later(self.failure)
        if user in self.in_use:
            return self._held.later(MailboxInUse(user))
        self.in_use.add(user)
        self.mailboxes.append(Mailbox(self.mails, self._held, lambda: self.in_use.discard(user)))
        return self._held.later(self.mailboxes[-1])


_StringTransport: Any = StringTransport  # its methods have no types


class Wire(_StringTransport):  # type: ignore[misc]
    """A transport that can become secure, and full."""

    def __init__(self) -> None:
        super().__init__()
        self.no_delay = False
        self.contexts: list[object] = []
        self.writes: list[bytes] = []
        self.most = 0
        self._stuffed = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Note."""
        self.no_delay = enabled

    def startTLS(self, context: object) -> None:
        """Be secure from now on."""
        self.contexts.append(context)
        directlyProvides(self, ISSLTransport)

    def write(self, data: bytes) -> None:
        """Take it, and tell the producer when it is enough."""
        assert self.producer is not None
        self.writes.append(data)
        super().write(data)
        self.most = max(self.most, len(self.value()))
        if not self._stuffed and len(self.value()) > FULL:
            self._stuffed = True
            cast("Any", self.producer).pauseProducing()

    def take(self) -> bytes:
        """What the client reads: everything there is."""
        data = bytes(self.value())
        self.clear()
        self.writes.clear()
        if self._stuffed and self.producer is not None:
            self._stuffed = False
            cast("Any", self.producer).resumeProducing()
        return data

    def loseConnection(self) -> None:
        """Close; a real transport would wait for its producer."""
        assert self.producer is None
        super().loseConnection()

    @property
    def deaf(self) -> bool:
        """Whether reading is paused."""
        return bool(self.producerState == "paused")


class Client:
    """The client's end of one session."""

    def __init__(self, session: Pop3Session, wire: Wire, clock: Clock) -> None:
        self.session = session
        self.wire = wire
        self._clock = clock
        cast("Any", session).makeConnection(wire)
        self.greeting = wire.take()
        self.stamp = self.greeting[self.greeting.index(b"<") : self.greeting.index(b">") + 1]

    def send(self, data: bytes) -> bytes:
        """Send, and return what is answered at once."""
        self.session.dataReceived(data)
        return self.wire.take()

    def say(self, *commands: bytes) -> bytes:
        """Send command lines in one segment."""
        return self.send(b"".join(command + b"\r\n" for command in commands))

    def apop(self, name: bytes = b"alice", secret: bytes = b"wonder land") -> bytes:
        """The command that logs in."""
        return b"APOP " + name + b" " + apop.digest(self.stamp, secret)

    def login(self) -> None:
        """Log in as alice."""
        assert self.say(self.apop()) == b"+OK logged in\r\n"

    def wait(self, seconds: float) -> bytes:
        """Let time pass, and return what is answered."""
        self._clock.advance(seconds)
        return self.wire.take()

    def go_away(self, *, clean: bool = True) -> None:
        """The connection is lost."""
        self.session.connectionLost(Failure(ConnectionDone() if clean else ConnectionLost()))


class World:
    """A POP3 service with all that belongs to it."""

    def __init__(self) -> None:
        self.held = Held()
        self.clock = Clock()
        self.accounts = Accounts(self.held)
        self.opener = Opener(self.held)
        self.reports: list[tuple[str, dict[str, object]]] = []
        self.tls: object = None
        self.failures_after = 2.0
        self.terms: dict[str, Any] = {}

    def factory(self) -> Pop3Factory:
        """The factory of its sessions."""
        return Pop3Factory(
            self.accounts,
            self.opener,
            reactor=self.clock,
            tls=self.tls,
            hostname="mail.example",
            terms=LoginTerms(answer_failures_after=self.failures_after, **self.terms),
            report=lambda name, fields: self.reports.append((name, fields)),
        )

    def connect(self, *, secure: bool = False) -> Client:
        """A client that has been greeted."""
        wire = Wire()
        if secure:
            directlyProvides(wire, ISSLTransport)
        return Client(self.factory().buildProtocol(None), wire, self.clock)

    def enter(self) -> Client:
        """A client that has logged in as alice."""
        client = self.connect()
        client.login()
        return client

    def reported(self, name: str) -> list[dict[str, object]]:
        """The fields of all events of that name."""
        return [fields for each, fields in self.reports if each == name]

    @property
    def mailbox(self) -> Mailbox:
        """The mailbox that was opened last."""
        return self.opener.mailboxes[-1]


TROUBLE = AccountsTrouble("the store is on fire")

"""POP3 without I/O (RFC 1939, 2449, 2595, 3206, 5034, 6856): a client's bytes in, answers and requests out.

The rules of this file:

* Commands are obeyed in order, however they came. Behind a request that takes time they wait as bytes, never as
  objects. A caller that stops its transport while `sated` is true keeps at most one chunk of it more; above
  `TOO_MUCH` everything is dropped.
* A line that is too long is the last one, and so is what begins TLS or HTTP. Nothing is answered after QUIT.
* Nothing that came from the client is ever in an answer.

What the commands mean is said by `netguard.wire.pop3_authorization` and `netguard.wire.pop3_transaction`.
"""

from __future__ import annotations

import os
from enum import Enum, auto
from typing import TYPE_CHECKING

from netguard.wire.mechanisms import Circumstances
from netguard.wire.pop3_authorization import TLS, TLS_IN_CLEAR, Authorization
from netguard.wire.pop3_events import (
    LOGINS,
    Apop,
    Close,
    Commit,
    Consult,
    Denial,
    Entry,
    Event,
    Fetch,
    Listing,
    Malformed,
    Password,
    Proved,
    Request,
    StartTls,
)
from netguard.wire.pop3_lines import Lines, TooLong
from netguard.wire.pop3_phase import Bad, End
from netguard.wire.pop3_transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netguard.wire.pop3_phase import Said

# Octets of waiting commands at which the caller should read no more.
ENOUGH = 4096
# What a caller that stops reading then can still bring is its transport's last chunk (64 KiB in Twisted) and,
# under TLS, a record that was waiting for its end (16 KiB). More means that it does not stop.
TOO_MUCH = 128 * 1024
# Commands obeyed in one call: it bounds what one call can make the caller hold and write.
BATCH = 64


_PLAIN = Circumstances()

STOPPING = End(b"-ERR [SYS/TEMP] the service stops, try again later\r\n", "draining")
"""What ends a session while the service stops (RFC 3206)."""


class MachineMisused(Exception):
    """The caller reported an outcome that nobody waited for. The defect is ours, never a client's."""


class State(Enum):
    """The states of RFC 1939, and the end."""

    AUTHORIZATION = auto()
    TRANSACTION = auto()
    UPDATE = auto()
    CLOSED = auto()


class Pop3Machine:
    """One POP3 session as its server sees it.

    Args:
        stamp: the APOP timestamp of the greeting, with its angle brackets.
        stls: whether TLS can be started in this connection.
        circumstances: what the connection is like at its beginning.
        random: gives so many random octets.
        host: the name of this server.

    Attributes:
        state: where the session is.
        blocked: set it while the client does not take its answers; commands then wait.
        draining: set it, and the next command is answered by the end of the session, unless it is QUIT.
    """

    def __init__(
        self,
        stamp: bytes,
        *,
        stls: bool = False,
        circumstances: Circumstances = _PLAIN,
        random: Callable[[int], bytes] = os.urandom,
        host: str = "localhost",
    ) -> None:
        self.state = State.AUTHORIZATION
        self.blocked = self.draining = False
        self._stamp = stamp
        self._lines = Lines()
        self._phase: Authorization | Transaction = Authorization(circumstances, stls=stls, random=random, host=host)
        self._events: list[Event] = []
        self._awaited: Request | None = None

    @property
    def greeting(self) -> bytes:
        """The first answer of a session. Its timestamp says that APOP is possible (RFC 1939, section 7)."""
        return b"+OK POP3 ready " + self._stamp + b"\r\n"

    @property
    def circumstances(self) -> Circumstances:
        """What the connection is like; the caller, who can see it, keeps this true."""
        return self._phase.circumstances

    @circumstances.setter
    def circumstances(self, circumstances: Circumstances) -> None:
        self._phase.circumstances = circumstances

    @property
    def pending(self) -> int:
        """Octets that came and were not yet read as commands."""
        return self._lines.pending

    @property
    def idle(self) -> bool:
        """Whether it waits for the client, and for nobody else."""
        return self._awaited is None and self.state in (State.AUTHORIZATION, State.TRANSACTION)

    @property
    def sated(self) -> bool:
        """Whether so much waits that the caller should read no more."""
        return self._lines.pending > ENOUGH and self._waiting

    def receive(self, data: bytes) -> list[Event]:
        """Take what the client sent, if anything, and obey up to `BATCH` of the commands that are there.

        Call it again, with nothing, until it returns nothing: then it waits for bytes or for an outcome.
        """
        events = self._events = []
        if not (data or self._lines.pending) or self.state in (State.UPDATE, State.CLOSED):
            return events
        if data:
            self._lines.add(data)
            if type(self._awaited) is StartTls:
                self._attacked()
            elif self.state is State.AUTHORIZATION and self._lines.begins_with(TLS) and not self._waiting:
                self._refuse(TLS_IN_CLEAR)
        try:
            for _ in range(BATCH):
                if self._waiting or (line := self._lines.take(self._phase.longest)) is None:
                    break
                self._take(STOPPING if self.draining and line.upper() != b"QUIT" else self._phase.obey(line))
        except TooLong:
            events += (Malformed("line too long"), b"-ERR line too long\r\n")
            self._end("line too long")
        if self._waiting and self._lines.pending > TOO_MUCH:
            events.append(Malformed("too many commands sent ahead"))
            self._end("too many commands sent ahead")
        return events

    def close(self) -> None:
        """Forget what waits, and be deaf from now on.

        A question of SASL may still be answered: who goes away has guessed all the same.
        """
        self.state = State.CLOSED
        self._lines.drop()
        if type(self._awaited) is not Consult:
            self._awaited = None

    @property
    def _waiting(self) -> bool:
        return self.blocked or self._awaited is not None

    def _take(self, said: Said) -> None:
        """Make events of what came of a line."""
        if isinstance(said, bytes):
            self._events.append(said)
        elif isinstance(said, Bad):
            self._refuse(said)
        elif isinstance(said, StartTls):
            self._begin_tls(said)
        elif isinstance(said, End):
            self._events.append(said.answer)
            self._end(said.reason)
        else:
            if isinstance(said, Commit):
                self.state = State.UPDATE
                self._lines.drop()
            self._ask(said)

    def _refuse(self, bad: Bad) -> None:
        self._events += (Malformed(bad.problem), bad.answer)
        self._phase.bad_left -= 1
        if bad.last:
            self._end(bad.problem)
        elif self._phase.bad_left <= 0:
            self._end("too many bad commands")

    def _begin_tls(self, request: StartTls) -> None:
        if self._lines.pending:
            self._attacked()
        else:
            self._events.append(b"+OK begin TLS\r\n")
            self._ask(request)

    def _attacked(self) -> None:
        # An honest client is silent until it is told to begin (RFC 2595, section 4). What comes earlier was
        # put there by one who wants it obeyed as if it had come through TLS (CVE-2011-0411, CVE-2021-38084).
        self._events.append(Malformed("data behind STLS"))
        self._end("data behind STLS")

    def _ask(self, request: Request) -> None:
        self._awaited = request
        self._events.append(request)

    def _end(self, reason: str) -> None:
        self._events.append(Close(reason))
        self.close()

    # Outcomes: each returns events, as `receive` does

    def _outcome(self, *kinds: type[Request]) -> list[Event]:
        if type(self._awaited) not in kinds:
            raise MachineMisused(f"nobody waits for {' or '.join(kind.__name__ for kind in kinds)}")
        self._awaited = None
        self._events = []
        return self._events

    def answered(self, found: object) -> list[Event]:
        """The answer to a question of SASL; what comes of it is an answer to the client, or one more request."""
        events = self._outcome(Consult)
        self._take(self._before_login.answered(found))
        return events

    def opened(
        self, entries: Sequence[Entry], login_delay: float | None = None, expire: float | None = None
    ) -> list[Event]:
        """The login succeeded.

        Args:
            entries: the messages, numbered from 1 for the whole session.
            login_delay: the least time from one login of this user to the next, seconds; None for no such rule.
            expire: how long a message of this user is kept, days, `math.inf` for ever; None where nothing is said.
        """
        events = self._outcome(Apop, Password, Proved)
        self.state = State.TRANSACTION
        utf8 = self._before_login.utf8
        self._phase = Transaction(self.circumstances, entries, login_delay, expire, utf8=utf8)
        events.append(b"+OK logged in\r\n")
        return events

    def denied(self, denial: Denial) -> list[Event]:
        """The login failed."""
        events = self._outcome(*LOGINS)
        events.append(denial.value)
        if self._before_login.denied(denial):
            self._end("too many failed logins")
        return events

    def switched(self) -> list[Event]:
        """TLS was started; what comes from now on came through it."""
        events = self._outcome(StartTls)
        self._before_login.switched()
        return events

    @property
    def _before_login(self) -> Authorization:
        assert isinstance(self._phase, Authorization)  # noqa: S101 - what is asked for only there has its outcome there
        return self._phase

    def fetched(self) -> list[Event]:
        """The message was sent whole."""
        return self._outcome(Fetch)

    def unreadable(self, *, gone: bool) -> list[Event]:
        """Nothing was sent: the message is gone for good, or (otherwise) cannot be read now."""
        events = self._outcome(Fetch)
        events.append(b"-ERR message gone\r\n" if gone else b"-ERR [SYS/TEMP] message unreadable\r\n")
        return events

    def listed(self) -> list[Event]:
        """All pieces were written."""
        return self._outcome(Listing)

    def committed(self, failed: int) -> list[Event]:
        """The messages were removed for good, save `failed` of them."""
        events = self._outcome(Commit)
        events.append(b"-ERR [SYS/TEMP] some deleted messages not removed\r\n" if failed else b"+OK bye\r\n")
        self._end("quit")
        return events

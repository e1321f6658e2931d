"""POP3 without I/O (RFC 1939, 2449, 2595, 3206): a client's bytes in, answers and requests out.

The rules of this file:

* Commands are obeyed in order, however they came. Behind a request that takes time they wait as bytes, never as
  objects. A caller that stops its transport when `pending` exceeds `ENOUGH` keeps at most one chunk of it more;
  above `TOO_MUCH` everything is dropped.
* A line ends with CRLF and nothing else. NUL, bare CR and bare LF are refused inside: what two programs read
  differently is what smuggling is made of. A line that is too long is the last one: none of it is kept.
* Numbers are digits, 1 to n, not deleted. Words are parted by one space. Only PASS takes spaces.
* Only a whole QUIT after login asks for a removal. Nothing is answered after it.
* Nothing that came from the client is ever in an answer.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from netguard.wire import apop
from netguard.wire.pop3_events import (
    Apop,
    Close,
    Commit,
    Denial,
    Entry,
    Event,
    Fetch,
    Listing,
    Malformed,
    Password,
    Request,
    StartTls,
    pieces,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# A command line with its CRLF: RFC 2449 section 4 says 255 octets; clients with long passwords send more.
MAX_LINE = 512
# Octets of waiting commands at which the caller should read no more.
ENOUGH = 4096
# What a caller that stops reading then can still bring is its transport's last chunk (64 KiB in Twisted) and,
# under TLS, a record that was waiting for its end (16 KiB). More means that it does not stop.
TOO_MUCH = 128 * 1024
# Commands obeyed in one call: it bounds what one call can make the caller hold and write.
BATCH = 64
# Dovecot's limits on commands that cannot be obeyed.
BAD_BEFORE_LOGIN = 3
BAD_AFTER_LOGIN = 20
# Wrong credentials in one connection. APOP has one try in any case.
MAX_DENIED = 3
# Enough for a message count or a size of 9 GB; longer numbers cannot be right, and cost time to convert.
MAX_DIGITS = 10

_CLEARTEXT = b"-ERR [SYS/PERM] a password is taken only inside TLS\r\n"


class MachineMisused(Exception):
    """The caller reported an outcome that nobody waited for. The defect is ours, never a client's."""


class State(Enum):
    """The states of RFC 1939, and the end. The value answers a command that belongs into that state only."""

    AUTHORIZATION = b"-ERR logged in already\r\n"
    TRANSACTION = b"-ERR log in first\r\n"
    UPDATE = b"-ERR quitting\r\n"
    CLOSED = b"-ERR closed\r\n"


class _Command(NamedTuple):
    """How to obey a command; in which state (None: before and after login); whether it has an argument."""

    obey: Callable[[Any, bytes | None], None]
    state: State | None = None
    argument: bool | None = False


class Pop3Machine:
    """One POP3 session as its server sees it.

    Args:
        stamp: the APOP timestamp of the greeting, with its angle brackets.
        stls: whether TLS can be started in this connection.

    Attributes:
        state: where the session is.
        secure: whether the connection is inside TLS; the caller, who can see it, keeps this true.
        blocked: set it while the client does not take its answers; commands then wait.
    """

    def __init__(self, stamp: bytes, *, stls: bool = False) -> None:
        self.state = State.AUTHORIZATION
        self.secure = False
        self.blocked = False
        self._stamp = stamp
        self._stamp_spent = False
        self._tls_offered = stls
        self._buffer = b""
        self._at = 0
        self._events: list[Event] = []
        self._awaited: Request | None = None
        self._named: bytes | None = None
        self._user_before: bytes | None = None
        self._bad_left = BAD_BEFORE_LOGIN
        self._denied_left = MAX_DENIED
        self._entries: Sequence[Entry] = ()
        self._octets: int | None = None
        self._deleted: set[int] = set()
        self._deleted_octets = 0

    @property
    def greeting(self) -> bytes:
        """The first answer of a session. Its timestamp says that APOP is possible (RFC 1939, section 7)."""
        return b"+OK POP3 ready " + self._stamp + b"\r\n"

    @property
    def pending(self) -> int:
        """Octets that came and were not yet read as commands."""
        return len(self._buffer) - self._at

    def receive(self, data: bytes) -> list[Event]:
        """Take what the client sent, if anything, and obey up to `BATCH` of the commands that are there.

        Call it again, with nothing, until it returns nothing: then it waits for bytes or for an outcome.
        """
        events = self._events = []
        if self.state in (State.UPDATE, State.CLOSED):
            return events
        if data:
            self._buffer = self._buffer[self._at :] + data
            self._at = 0
            if type(self._awaited) is StartTls:
                self._attacked()
        for _ in range(BATCH):
            if self._waiting or not self._obey_next():
                break
        if self._waiting and self.pending > TOO_MUCH:
            events.append(Malformed("too many commands sent ahead"))
            self._end("too many commands sent ahead")
        return events

    def close(self) -> None:
        """Forget what waits, and be deaf from now on."""
        self.state = State.CLOSED
        self._buffer, self._at = b"", 0
        self._awaited = self._named = self._user_before = None

    @property
    def _waiting(self) -> bool:
        return self.blocked or self._awaited is not None

    def _obey_next(self) -> bool:
        """Obey the next line; False when there is none."""
        end = self._buffer.find(b"\r\n", self._at, self._at + MAX_LINE)
        if end < 0:
            if self.pending >= MAX_LINE:
                self._events += (Malformed("line too long"), b"-ERR line too long\r\n")
                self._end("line too long")
            return False
        line = self._buffer[self._at : end]
        self._at = end + 2
        self._obey(line)
        return True

    def _obey(self, line: bytes) -> None:
        # PASS counts only directly behind USER; whatever this line is, it ends that.
        self._user_before, self._named = self._named, None
        if b"\0" in line or b"\n" in line or b"\r" in line:
            self._bad("NUL, CR or LF inside a line", b"-ERR NUL, CR or LF inside a line\r\n")
            return
        word, space, rest = line.partition(b" ")
        command = self._COMMANDS.get(word.upper())
        if command is None:
            self._bad("unknown command", b"-ERR unknown command\r\n")
        elif command.state is not None and command.state is not self.state:
            self._bad("command in the wrong state", command.state.value)
        elif command.argument is not None and command.argument is not bool(space):
            self._bad("wrong number of arguments", b"-ERR wrong number of arguments\r\n")
        else:
            command.obey(self, rest if space else None)

    def _bad(self, problem: str, answer: bytes) -> None:
        """Refuse what no honest client sends, and count it."""
        self._events += (Malformed(problem), answer)
        self._bad_left -= 1
        if self._bad_left <= 0:
            self._end("too many bad commands")

    def _end(self, reason: str) -> None:
        self._events.append(Close(reason))
        self.close()

    def _ask(self, request: Request) -> None:
        self._awaited = request
        self._events.append(request)

    # Commands in both states

    def _quit(self, _: bytes | None) -> None:
        if self._deleted:
            self.state = State.UPDATE
            self._buffer, self._at = b"", 0
            self._ask(Commit(tuple(sorted(self._deleted))))
        else:
            self._events.append(b"+OK bye\r\n")
            self._end("quit")

    def _capa(self, _: bytes | None) -> None:
        before_login = self.state is State.AUTHORIZATION
        lines = [b"+OK capabilities follow\r\nTOP\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"]
        if self.secure:
            lines.append(b"USER\r\n")
        elif self._tls_offered and before_login:
            lines.append(b"STLS\r\n")
        if not before_login:
            lines.append(b"IMPLEMENTATION netguard\r\n")
        lines.append(b".\r\n")
        self._events.append(b"".join(lines))

    # Commands before login

    def _stls(self, _: bytes | None) -> None:
        if self.secure:
            self._bad("STLS inside TLS", b"-ERR TLS is on already\r\n")
        elif not self._tls_offered:
            self._events.append(b"-ERR [SYS/PERM] TLS is not available here\r\n")
        elif self.pending:
            self._attacked()
        else:
            self._events.append(b"+OK begin TLS\r\n")
            self._ask(StartTls())

    def _attacked(self) -> None:
        # An honest client is silent until it is told to begin (RFC 2595, section 4). What comes earlier was
        # put there by one who wants it obeyed as if it had come through TLS (CVE-2011-0411, CVE-2021-38084).
        self._events.append(Malformed("data behind STLS"))
        self._end("data behind STLS")

    def _apop(self, argument: bytes | None) -> None:
        spent, self._stamp_spent = self._stamp_spent, True
        login = apop.parse(argument or b"")
        if spent:
            self._bad("second APOP on one timestamp", b"-ERR APOP can be tried once in a connection\r\n")
        elif login is None:
            self._bad("malformed APOP", b"-ERR APOP takes a name and a digest\r\n")
        else:
            self._ask(Apop(*login))

    def _user(self, argument: bytes | None) -> None:
        if not self.secure:
            self._events.append(_CLEARTEXT)
        elif not argument or b" " in argument:
            self._bad("malformed USER", b"-ERR USER takes one name\r\n")
        else:
            self._named = argument
            self._events.append(b"+OK and the password\r\n")

    def _pass(self, argument: bytes | None) -> None:
        if not self.secure:
            self._events.append(_CLEARTEXT)
        elif self._user_before is None:
            self._bad("PASS not directly behind USER", b"-ERR USER first\r\n")
        else:
            self._ask(Password(self._user_before, argument or b""))

    # Commands after login

    def _noop(self, _: bytes | None) -> None:
        self._events.append(b"+OK\r\n")

    def _stat(self, _: bytes | None) -> None:
        if self._octets is None:
            self._octets = sum(entry.size for entry in self._entries)
        count = len(self._entries) - len(self._deleted)
        self._events.append(b"+OK %d %d\r\n" % (count, self._octets - self._deleted_octets))

    def _list(self, argument: bytes | None) -> None:
        self._scan(argument, lambda number, entry: f"{number} {entry.size}\r\n")

    def _uidl(self, argument: bytes | None) -> None:
        self._scan(argument, lambda number, entry: f"{number} {entry.uid}\r\n")

    def _scan(self, argument: bytes | None, render: Callable[[int, Entry], str]) -> None:
        if argument is None:
            self._ask(Listing(pieces(self._entries, frozenset(self._deleted), render)))
        elif (index := self._message(argument)) is not None:
            self._events.append(b"+OK " + render(index + 1, self._entries[index]).encode("ascii"))

    def _retr(self, argument: bytes | None) -> None:
        if (index := self._message(argument)) is not None:
            self._ask(Fetch(index))

    def _top(self, argument: bytes | None) -> None:
        number, _, lines = (argument or b"").partition(b" ")
        if (top := _number(lines)) is None:
            self._bad("malformed TOP", b"-ERR TOP takes a message number and a count of lines\r\n")
        elif (index := self._message(number)) is not None:
            self._ask(Fetch(index, top))

    def _dele(self, argument: bytes | None) -> None:
        if (index := self._message(argument)) is not None:
            self._deleted.add(index)
            self._deleted_octets += self._entries[index].size
            self._events.append(b"+OK deleted at QUIT\r\n")

    def _rset(self, _: bytes | None) -> None:
        self._deleted = set()
        self._deleted_octets = 0
        self._events.append(b"+OK nothing is deleted\r\n")

    def _message(self, argument: bytes | None) -> int | None:
        """The index of a message that is there; None when the client was told that it is not."""
        number = _number(argument or b"")
        if number is None:
            self._bad("malformed number", b"-ERR not a message number\r\n")
        elif 1 <= number <= len(self._entries) and number - 1 not in self._deleted:
            return number - 1
        else:
            self._events.append(b"-ERR no such message\r\n")
        return None

    # Outcomes: each returns events, as `receive` does

    def _outcome(self, *kinds: type[Request]) -> list[Event]:
        if type(self._awaited) not in kinds:
            raise MachineMisused(f"nobody waits for {' or '.join(kind.__name__ for kind in kinds)}")
        self._awaited = None
        self._events = []
        return self._events

    def opened(self, entries: Sequence[Entry]) -> list[Event]:
        """The login succeeded; these are the messages, numbered from 1 for the whole session."""
        events = self._outcome(Apop, Password)
        self.state = State.TRANSACTION
        self._entries = entries
        self._bad_left = BAD_AFTER_LOGIN
        events.append(b"+OK logged in\r\n")
        return events

    def denied(self, denial: Denial) -> list[Event]:
        """The login failed."""
        events = self._outcome(Apop, Password)
        events.append(denial.value)
        if denial is Denial.CREDENTIALS:
            self._denied_left -= 1
            if self._denied_left <= 0:
                self._end("too many failed logins")
        return events

    def switched(self) -> list[Event]:
        """TLS was started; what comes from now on came through it."""
        events = self._outcome(StartTls)
        self.secure = True
        return events

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

    _COMMANDS: ClassVar[dict[bytes, _Command]] = {
        b"QUIT": _Command(_quit),
        b"CAPA": _Command(_capa),
        b"STLS": _Command(_stls, State.AUTHORIZATION),
        b"APOP": _Command(_apop, State.AUTHORIZATION, None),
        b"USER": _Command(_user, State.AUTHORIZATION, None),
        b"PASS": _Command(_pass, State.AUTHORIZATION, None),
        b"NOOP": _Command(_noop, State.TRANSACTION),
        b"STAT": _Command(_stat, State.TRANSACTION),
        b"LIST": _Command(_list, State.TRANSACTION, None),
        b"UIDL": _Command(_uidl, State.TRANSACTION, None),
        b"RETR": _Command(_retr, State.TRANSACTION, True),
        b"TOP": _Command(_top, State.TRANSACTION, True),
        b"DELE": _Command(_dele, State.TRANSACTION, True),
        b"RSET": _Command(_rset, State.TRANSACTION),
    }


def _number(digits: bytes) -> int | None:
    """A number of ASCII digits; None for a sign, space, underscore, other digits, or too many of them."""
    return int(digits) if len(digits) <= MAX_DIGITS and digits.isdigit() else None

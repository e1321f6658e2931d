"""A POP3 session after its login: the messages, by number, and what is marked (RFC 1939, section 5).

The rules of this file:

* Numbers are digits, 1 to n, not deleted, and fixed for the session.
* Only a whole QUIT asks for a removal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from netguard.wire import pop3_capabilities as capabilities
from netguard.wire.pop3_events import Commit, Entry, Fetch, Listing, octets_of, pieces, sizes_of, uids_of
from netguard.wire.pop3_phase import ANYWHERE, AUTHORIZATION, QUIT, Bad, Command, Phase, Said, elsewhere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from netguard.wire.mechanisms import Circumstances

# Dovecot's limit on commands that cannot be obeyed.
BAD_AFTER_LOGIN = 20
# Enough for a message count or a size of 9 GB; longer numbers cannot be right, and cost time to convert.
MAX_DIGITS = 10

_NO_NUMBER = Bad("malformed number", b"-ERR not a message number\r\n")
_NO_TOP = Bad("malformed TOP", b"-ERR TOP takes a message number and a count of lines\r\n")
_NOT_THERE = b"-ERR no such message\r\n"


class Transaction(Phase):
    """The TRANSACTION state of RFC 1939.

    Args:
        circumstances: what the connection is like.
        entries: the messages, numbered from 1 for the whole session.
        login_delay: the least time from one login of this user to the next, seconds; None for no such rule.
        expire: how long a message of this user is kept, days, `math.inf` for ever; None where nothing is said.
        utf8: whether the client said that it reads UTF-8 in headers.
    """

    __slots__ = ("_deleted", "_deleted_octets", "_entries", "_expire", "_login_delay", "_octets", "_utf8")

    def __init__(
        self,
        circumstances: Circumstances,
        entries: Sequence[Entry],
        login_delay: float | None,
        expire: float | None,
        *,
        utf8: bool,
    ) -> None:
        super().__init__(circumstances, BAD_AFTER_LOGIN)
        self._utf8 = utf8
        self._login_delay = login_delay
        self._expire = expire
        self._entries = entries
        self._octets: int | None = None
        self._deleted: set[int] = set()
        self._deleted_octets = 0

    def _quit(self, _: bytes | None) -> Said:
        return Commit(tuple(sorted(self._deleted))) if self._deleted else QUIT

    def _capa(self, _: bytes | None) -> Said:
        return capabilities.after_login(self.circumstances, login_delay=self._login_delay, expire=self._expire)

    def _noop(self, _: bytes | None) -> Said:
        return b"+OK\r\n"

    def _stat(self, _: bytes | None) -> Said:
        if self._octets is None:
            self._octets = octets_of(self._entries)
        count = len(self._entries) - len(self._deleted)
        return b"+OK %d %d\r\n" % (count, self._octets - self._deleted_octets)

    def _list(self, argument: bytes | None) -> Said:
        return self._scan(argument, sizes_of)

    def _uidl(self, argument: bytes | None) -> Said:
        return self._scan(argument, uids_of)

    def _scan(self, argument: bytes | None, told_of: Callable[[Sequence[Entry]], Iterable[object]]) -> Said:
        if argument is None:
            return Listing(pieces(told_of(self._entries), frozenset(self._deleted)))
        index = self._message(argument)
        if not isinstance(index, int):
            return index
        [told] = told_of([self._entries[index]])
        return f"+OK {index + 1} {told}\r\n".encode("ascii")

    def _retr(self, argument: bytes | None) -> Said:
        index = self._message(argument)
        return Fetch(index, None, self._utf8) if isinstance(index, int) else index

    def _top(self, argument: bytes | None) -> Said:
        message, _, lines = (argument or b"").partition(b" ")
        if (top := number(lines)) is None:
            return _NO_TOP
        index = self._message(message)
        return Fetch(index, top, self._utf8) if isinstance(index, int) else index

    def _dele(self, argument: bytes | None) -> Said:
        index = self._message(argument)
        if not isinstance(index, int):
            return index
        self._deleted.add(index)
        self._deleted_octets += self._entries[index].size
        return b"+OK deleted at QUIT\r\n"

    def _rset(self, _: bytes | None) -> Said:
        self._deleted = set()
        self._deleted_octets = 0
        return b"+OK nothing is deleted\r\n"

    def _message(self, argument: bytes | None) -> int | Bad | bytes:
        """The index of a message that is there; what to say when it is not."""
        found = number(argument or b"")
        if found is None:
            return _NO_NUMBER
        there = 1 <= found <= len(self._entries) and found - 1 not in self._deleted
        return found - 1 if there else _NOT_THERE

    COMMANDS: ClassVar = {
        **elsewhere(AUTHORIZATION, b"-ERR logged in already\r\n"),
        b"QUIT": Command(_quit),
        **ANYWHERE,
        b"CAPA": Command(_capa),
        b"NOOP": Command(_noop),
        b"STAT": Command(_stat),
        b"LIST": Command(_list, None),
        b"UIDL": Command(_uidl, None),
        b"RETR": Command(_retr, True),
        b"TOP": Command(_top, True),
        b"DELE": Command(_dele, True),
        b"RSET": Command(_rset),
    }


def number(digits: bytes) -> int | None:
    """A number of ASCII digits; None for a sign, space, underscore, other digits, or too many of them."""
    return int(digits) if len(digits) <= MAX_DIGITS and digits.isdigit() else None

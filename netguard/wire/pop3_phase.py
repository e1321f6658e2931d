"""What both halves of a POP3 session have in common: a table of commands, and how a line is read.

The rules of this file:

* Words are parted by one space. Who takes no argument gets none, who takes one gets the rest of the line.
* A command of the other half is known, and refused as such.
* Nothing that came from the client is ever in an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

from netguard.wire.pop3_languages import lang
from netguard.wire.pop3_lines import MAX_LINE

if TYPE_CHECKING:
    from netguard.wire.mechanisms import Circumstances
    from netguard.wire.pop3_events import Request

# The commands that belong into one half only (RFC 1939, RFC 2595, RFC 5034, RFC 6856).
AUTHORIZATION = (b"STLS", b"UTF8", b"APOP", b"AUTH", b"USER", b"PASS")
TRANSACTION = (b"NOOP", b"STAT", b"LIST", b"UIDL", b"RETR", b"TOP", b"DELE", b"RSET")


@dataclass(frozen=True, slots=True)
class Bad:
    """A line that no honest client sends: to be reported, answered and counted.

    Attributes:
        problem: what is wrong with it, for the log.
        answer: what the client is told.
        last: whether the session ends with it.
    """

    problem: str
    answer: bytes
    last: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """The last answer of a session, which ends of itself.

    Attributes:
        answer: what the client is told.
        reason: why it ends, for the log.
    """

    answer: bytes
    reason: str


QUIT = End(b"+OK bye\r\n", "quit")
Said: TypeAlias = "bytes | Bad | End | Request"
"""What comes of a line."""


class Command(NamedTuple):
    """How to obey a command, and whether it has an argument (None: it sees to that itself)."""

    obey: Callable[[Any, bytes | None], Said]
    argument: bool | None = False


# The same in both halves.
ANYWHERE = {b"LANG": Command(lambda _, argument: lang(argument), None)}

_CONTROL = Bad("NUL, CR or LF inside a line", b"-ERR NUL, CR or LF inside a line\r\n")
_UNKNOWN = Bad("unknown command", b"-ERR unknown command\r\n")
_ARGUMENTS = Bad("wrong number of arguments", b"-ERR wrong number of arguments\r\n")


class Phase:
    """One half of a session: before the login, or after it.

    Attributes:
        circumstances: what the connection is like.
        bad_left: how many more bad lines are borne.
        longest: octets that the next line may have, with its CRLF.
    """

    __slots__ = ("bad_left", "circumstances", "longest")

    COMMANDS: ClassVar[Mapping[bytes, Command]]

    def __init__(self, circumstances: Circumstances, bad_left: int) -> None:
        self.circumstances = circumstances
        self.bad_left = bad_left
        self.longest = MAX_LINE

    def obey(self, line: bytes) -> Said:
        """What comes of a line, which is without its CRLF."""
        if b"\0" in line or b"\n" in line or b"\r" in line:
            return _CONTROL
        word, space, rest = line.partition(b" ")
        command = self.COMMANDS.get(word.upper())
        if command is None:
            return _UNKNOWN
        if command.argument is not None and command.argument is not bool(space):
            return _ARGUMENTS
        return command.obey(self, rest if space else None)


def elsewhere(words: tuple[bytes, ...], answer: bytes) -> dict[bytes, Command]:
    """The commands of the other half: all of them get this answer."""
    bad = Bad("command in the wrong state", answer)
    return dict.fromkeys(words, Command(lambda _, __: bad, None))

"""What the POP3 machine says to its caller: requests, reports and the answers that have a name.

An event that is plain ``bytes`` is an answer to write. After a request the machine obeys no further command
until its outcome is reported. The words in reports are this project's own, never a client's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from netguard.wire.sasl import Question

# Messages in one piece of a listing: 3 KiB of LIST, 5 to 20 KiB of UIDL.
PIECE = 256

MESSAGE_FOLLOWS = b"+OK message follows\r\n"
INTERNAL_ERROR = b"-ERR [SYS/TEMP] internal error\r\n"


class Entry(Protocol):
    """What the machine needs to know of one message."""

    @property
    def size(self) -> int:
        """Its octets on the wire, without dot-stuffing and terminator."""

    @property
    def uid(self) -> str:
        """Its unique id: 1 to 70 characters of 0x21-0x7E."""


class Columns(Protocol):
    """Messages that also know each thing of all of them: to ask a hundred thousand one by one keeps others waiting.

    Whoever has these attributes is taken for one; that is not asked of the class, which would cost as much as the rest.
    """

    @property
    def octets(self) -> int:
        """Their octets on the wire, together."""

    @property
    def sizes(self) -> Sequence[int]:
        """The size of each."""

    @property
    def uids(self) -> Sequence[str]:
        """The unique id of each."""


def octets_of(entries: Sequence[Entry]) -> int:
    """The octets of all messages, as STAT has them."""
    known: int | None = getattr(entries, "octets", None)
    return sum(sizes_of(entries)) if known is None else known


def sizes_of(entries: Sequence[Entry]) -> Iterable[int]:
    """The sizes of all messages, as LIST has them."""
    known: Sequence[int] | None = getattr(entries, "sizes", None)
    return (entry.size for entry in entries) if known is None else known


def uids_of(entries: Sequence[Entry]) -> Iterable[str]:
    """The unique ids of all messages, as UIDL has them."""
    known: Sequence[str] | None = getattr(entries, "uids", None)
    return (entry.uid for entry in entries) if known is None else known


class Denial(Enum):
    """Why a login failed, as its answer says it (RFC 2449, RFC 3206)."""

    CREDENTIALS = b"-ERR [AUTH] user unknown or secret wrong\r\n"
    IN_USE = b"-ERR [IN-USE] another session holds this mailbox\r\n"
    TOO_SOON = b"-ERR [LOGIN-DELAY] logged in a moment ago, try again later\r\n"
    TROUBLE = b"-ERR [SYS/TEMP] out of order, try again later\r\n"


@dataclass(frozen=True, slots=True)
class Apop:
    """Log somebody in by digest, then report `opened` or `denied`.

    Attributes:
        name: the user's name as it came.
        digest: 32 lower-case hexadecimal digits.
    """

    name: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class Password:
    """Log somebody in by password, then report `opened` or `denied`.

    Attributes:
        name: the user's name as it came.
        password: the password as it came; no repr shows it.
    """

    name: bytes
    password: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Consult:
    """Have a question of a SASL mechanism answered, then report `answered`, or `denied` when it cannot be.

    Attributes:
        mechanism: its name.
        question: what it wants to know.
    """

    mechanism: str
    question: Question


@dataclass(frozen=True, slots=True)
class Proved:
    """Log somebody in who has proved by SASL who it is, then report `opened` or `denied`.

    Attributes:
        mechanism: its name.
        name: the name of the account.
    """

    mechanism: str
    name: str


@dataclass(frozen=True, slots=True)
class Disproved:
    """Somebody has failed to prove by SASL who it is: report `denied` as soon as that may be known.

    Attributes:
        mechanism: its name.
    """

    mechanism: str


@dataclass(frozen=True, slots=True)
class StartTls:
    """Write what was answered so far, switch to TLS, then report `switched`."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """Send `MESSAGE_FOLLOWS` and a message, then report `fetched`; or send nothing and report `unreadable`.

    Attributes:
        index: which message; one less than its number.
        top: None for the whole message; else the header and so many lines of the body.
        utf8: whether the client said that it reads UTF-8 in headers.
    """

    index: int
    top: int | None = None
    utf8: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """Write these pieces as fast as the client takes them, then report `listed`.

    Attributes:
        pieces: the whole answer, made as it is asked for.
    """

    pieces: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class Commit:
    """Remove messages for good, then report `committed`.

    Attributes:
        deleted: their indexes, in order.
    """

    deleted: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Malformed:
    """The client broke the protocol.

    Attributes:
        problem: how, for the log.
    """

    problem: str


@dataclass(frozen=True, slots=True)
class Close:
    """End the connection after what was answered so far; the machine is deaf and dumb from now on.

    Attributes:
        reason: why, for the log.
    """

    reason: str


Login: TypeAlias = Apop | Password | Consult | Proved | Disproved
LOGINS = (Apop, Password, Consult, Proved, Disproved)
Request: TypeAlias = Login | StartTls | Fetch | Listing | Commit
Event: TypeAlias = bytes | Request | Malformed | Close


def pieces(told: Iterable[object], deleted: Collection[int]) -> Iterator[bytes]:
    """A whole multi-line listing, in pieces of `PIECE` messages, so that none is large or takes long to make.

    Args:
        told: what is told of each message of the mailbox: its size, or its unique id.
        deleted: indexes to leave out.
    """
    numbered = enumerate(told, 1)
    text = "+OK listing follows\r\n"
    while block := list(islice(numbered, PIECE)):
        if deleted:
            text += "".join([f"{number} {each}\r\n" for number, each in block if number - 1 not in deleted])
        else:
            text += "".join([f"{number} {each}\r\n" for number, each in block])
        if len(block) < PIECE:
            break
        yield text.encode("ascii")
        text = ""
    yield f"{text}.\r\n".encode("ascii")

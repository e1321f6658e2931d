"""DNS messages without I/O (RFC 1035): one question to octets, the octets of one reply to records.

The rules of this file:

* A name is a tuple of labels in lower case, never a text: a dot inside a label is no boundary of labels.
* Whether a message answers our question (its number, that it is an answer, the question itself) is told from its first
  octets, before anything else of it is read.
* A name has at most 255 octets, and a compression pointer leads backwards (RFC 1035, section 4.1.4), so that no reply
  is a loop. Twisted's own reader has neither bound: 60 KB of pointers to one long name keep it busy for half a minute.
* Everything lies inside the message, and the data of a record inside its record; else the whole reply is refused.
* What was not asked for (other types, other classes, the additional section) is skipped unread.
* At most ``RECORDS`` answers are read, and at most ``HOPS`` aliases followed.
"""

from __future__ import annotations

from struct import Struct, error
from typing import NamedTuple, cast

Name = tuple[bytes, ...]

A, CNAME, SOA, PTR, AAAA = 1, 5, 6, 12, 28
INTERNET = 1
NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3

HOPS = 8
"""So many aliases are followed in all; BIND stops after 16, and nobody has need of more than two or three."""

RECORDS = 512
"""So many answers of a reply are read: more addresses than any name of one machine has."""

_LONGEST_NAME, _LONGEST_LABEL = 255, 63
_POINTER = 0xC0
_MOST_POINTERS = _LONGEST_NAME // 2  # one before each label
_RESPONSE, _OPCODE, _TRUNCATED, _RCODE = 0x8000, 0x7800, 0x0200, 0x000F
_RECURSE = 0x0100
_LONGEST_LIFE = 2**31 - 1

_header, _asked, _record, _minimum = Struct("!6H"), Struct("!HH"), Struct("!HHIH"), Struct("!I")
_SIZES = {A: 4, AAAA: 16}
_NAMING = {CNAME, PTR}
_TIMES_OF_SOA = 20


class DnsRefused(Exception):
    """The reply is none: cut short, lying about its lengths, or going round in circles."""


class DnsForeign(DnsRefused):
    """The message answers another question, or none: somebody else's, or somebody is guessing."""


class DnsMisused(Exception):
    """The question cannot be asked: its name or one of its numbers does not fit into a message."""


class Record(NamedTuple):
    """One record of an answer.

    Attributes:
        owner: whose record it is.
        kind: its type: ``A``, ``AAAA``, ``PTR`` or ``CNAME``.
        life: seconds for which it may be kept.
        value: a packed address, or a name.
    """

    owner: Name
    kind: int
    life: int
    value: bytes | Name


class Reply(NamedTuple):
    """What a server sent.

    Attributes:
        truncated: the rest is to be had over TCP.
        rcode: 0 when all is well; see RFC 1035, section 4.1.1.
        answers: the records, as far as they were wanted.
        nothing_for: seconds for which it may be kept that there is no such record; None where that was not said.
    """

    truncated: bool
    rcode: int
    answers: tuple[Record, ...]
    nothing_for: int | None


class Answer(NamedTuple):
    """What a reply says about one name.

    Attributes:
        name: the name at the end of its aliases.
        aliases: how many were followed.
        values: its records' values, without doubles.
        life: seconds for which all of it may be kept; None when nothing was found, not even an alias.
    """

    name: Name
    aliases: int
    values: tuple[bytes | Name, ...]
    life: int | None


def write_question(identity: int, name: Name, kind: int) -> bytes:
    """One question, for a server that does the whole search.

    Args:
        identity: 0 to 65,535, which nobody can guess.
        name: what to ask for.
        kind: the type of record.

    Raises:
        DnsMisused: the name is no name, or a number is too large.
    """
    whole = b"".join(bytes([len(label)]) + label for label in name if 0 < len(label) <= _LONGEST_LABEL) + b"\0"
    if len(whole) != sum(map(len, name)) + len(name) + 1 or len(whole) > _LONGEST_NAME:
        message = f"no name of at most {_LONGEST_NAME} octets, each label from 1 to {_LONGEST_LABEL}"
        raise DnsMisused(message)
    try:
        return _header.pack(identity, _RECURSE, 1, 0, 0, 0) + whole + _asked.pack(kind, INTERNET)
    except error:
        raise DnsMisused("the number of a question, and its type, have 16 bits") from None


def is_reply(data: bytes, question: bytes) -> bool:
    """Whether a message answers this question and no other; a server may have changed the case of its letters.

    Args:
        data: what came.
        question: what was asked, as :func:`write_question` wrote it.
    """
    if len(data) < len(question):
        return False
    identity, flags, questions, *_ = _header.unpack_from(data)
    responds = flags & _RESPONSE and not flags & _OPCODE
    same = data[_header.size : len(question)].lower() == question[_header.size :].lower()
    return bool(responds and questions == 1 and same and identity == int.from_bytes(question[:2], "big"))


def read_reply(data: bytes, question: bytes) -> Reply:
    """Read a message that answers a question.

    Args:
        data: all of it.
        question: what it answers.

    Raises:
        DnsForeign: it answers something else.
        DnsRefused: it lies about what it holds.
    """
    if not is_reply(data, question):
        raise DnsForeign("an answer to something else")
    try:
        return _read_reply(data, len(question))
    except (IndexError, error):
        raise DnsRefused("the message is cut short") from None


def _read_reply(data: bytes, at: int) -> Reply:
    _, flags, _, answers, authorities, _ = _header.unpack_from(data)
    rcode = flags & _RCODE
    if flags & _TRUNCATED:  # what stands there may be cut anywhere
        return Reply(truncated=True, rcode=rcode, answers=(), nothing_for=None)
    found: list[Record] = []
    for _ in range(min(answers, RECORDS)):
        record, at = _read_record(data, at)
        if record is not None:
            found.append(record)
    nothing_for = _read_authority(data, at, authorities) if answers <= RECORDS else None
    return Reply(truncated=False, rcode=rcode, answers=tuple(found), nothing_for=nothing_for)


def _read_name(data: bytes, at: int) -> tuple[Name, int]:
    """The name that begins there, and where it ends."""
    labels: list[bytes] = []
    size, end, start, pointers = 1, 0, at, 0
    while length := data[at]:
        if length <= _LONGEST_LABEL:
            label = data[at + 1 : at + 1 + length]
            if len(label) < length:
                raise DnsRefused("a name is cut short")
            size += length + 1
            if size > _LONGEST_NAME:
                raise DnsRefused("a name is too long")
            labels.append(label.lower())
            at += 1 + length
        elif length >= _POINTER:
            target = (length - _POINTER) << 8 | data[at + 1]
            pointers += 1
            if target >= start or pointers > _MOST_POINTERS:
                raise DnsRefused("a pointer leads forwards, or there are too many of them in a name")
            end = end or at + 2
            at = start = target
        else:
            raise DnsRefused("a label is of a kind that nobody uses")
    return tuple(labels), end or at + 1


def _read_record(data: bytes, at: int) -> tuple[Record | None, int]:
    """The record that begins there, or None when it is of no interest, and where it ends."""
    owner, at = _read_name(data, at)
    kind, network, life, size = _record.unpack_from(data, at)
    at += _record.size
    end = at + size
    if end > len(data):
        raise DnsRefused("a record reaches beyond its message")
    if network != INTERNET or (kind not in _NAMING and kind not in _SIZES):
        return None, end
    value: bytes | Name
    if kind in _NAMING:
        value, reached = _read_name(data, at)
    else:
        value, reached = data[at:end], at + _SIZES[kind]
    if reached != end:
        raise DnsRefused("a record has not the size that it says")
    return Record(owner, kind, _life(life), value), end


def _read_authority(data: bytes, at: int, count: int) -> int | None:
    """For how long nothing will be there (RFC 2308, section 5): the SOA record says it, if it is there."""
    for _ in range(min(count, RECORDS)):
        _, at = _read_name(data, at)
        kind, network, life, size = _record.unpack_from(data, at)
        at += _record.size + size
        if at > len(data):
            raise DnsRefused("a record reaches beyond its message")
        if kind == SOA and network == INTERNET and size > _TIMES_OF_SOA:
            (minimum,) = _minimum.unpack_from(data, at - _minimum.size)
            return min(_life(life), _life(minimum))
    return None


def _life(seconds: int) -> int:
    """RFC 2181, section 8: what has the highest bit set is 0."""
    return 0 if seconds > _LONGEST_LIFE else seconds


def find_answer(reply: Reply, name: Name, kind: int) -> Answer:
    """What a reply says about a name, and about nobody else: through its aliases (CNAME) to records of one type.

    Args:
        reply: the reply.
        name: whose records are wanted, in lower case.
        kind: of which type.

    Raises:
        DnsRefused: the aliases go round in circles, or there are too many.
    """
    aliases = {each.owner: each for each in reversed(reply.answers) if each.kind == CNAME}
    lives: list[int] = []
    while kind != CNAME and name in aliases:
        if len(lives) == HOPS:
            message = f"more than {HOPS} aliases, or aliases in a circle"
            raise DnsRefused(message)
        alias = aliases[name]
        lives.append(alias.life)
        name = cast("Name", alias.value)
    records = [each for each in reply.answers if each.kind == kind and each.owner == name]
    hops = len(lives)
    lives += [each.life for each in records]
    values = tuple(dict.fromkeys(each.value for each in records))
    return Answer(name, hops, values, min(lives, default=None))

"""DNS messages: what we write Twisted reads, what Twisted writes we read, and nothing else gets through."""

from __future__ import annotations

import socket
import struct
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.names import dns as oracle

from netguard.wire import dns
from netguard.wire.dns import (
    AAAA,
    CNAME,
    HOPS,
    PTR,
    RECORDS,
    A,
    Answer,
    DnsForeign,
    DnsMisused,
    DnsRefused,
    Name,
    Record,
    Reply,
    find_answer,
    is_reply,
    read_reply,
    write_question,
)

HOST: Name = (b"mail", b"example")
ASKED = write_question(7, HOST, A)

labels = st.binary(min_size=1, max_size=63).map(lambda label: label.replace(b".", b"-"))
names = st.lists(labels, max_size=6).map(tuple).filter(lambda name: sum(map(len, name)) + len(name) < 255)


def text(name: Name) -> bytes:
    """A name as Twisted has it."""
    return b".".join(name)


def message(*answers: tuple[bytes, Any], authority: Any = None, **header: Any) -> bytes:
    """A reply to ASKED, by Twisted: owners and payloads."""
    reply = oracle.Message(7, answer=header.pop("answer", 1), maxSize=0, **header)
    reply.queries = [oracle.Query(text(HOST), oracle.A)]
    reply.answers = [oracle.RRHeader(owner, load.TYPE, ttl=load.ttl, payload=load) for owner, load in answers]
    if authority is not None:
        reply.authority = [oracle.RRHeader(b"example", authority.TYPE, ttl=authority.ttl, payload=authority)]
    return reply.toStr()


def packed(*records: bytes, head: bytes = ASKED, flags: int = 0x8180) -> bytes:
    """A reply from records as they stand on the wire."""
    return struct.pack("!6H", 7, flags, 1, len(records), 0, 0) + head[12:] + b"".join(records)


def record(data: bytes, kind: int = A, owner: bytes = b"\xc0\x0c", life: int = 60, size: int | None = None) -> bytes:
    """One record on the wire."""
    return owner + struct.pack("!HHIH", kind, 1, life, len(data) if size is None else size) + data


@given(st.integers(0, 65535), names, st.sampled_from([A, AAAA, PTR]))
def test_twisted_reads_our_questions(number: int, name: Name, kind: int) -> None:
    """One question of the Internet's class, recursion desired."""
    read = oracle.Message()
    read.fromStr(write_question(number, name, kind))
    assert (read.id, read.answer, read.opCode, read.recDes, read.trunc) == (number, 0, 0, 1, 0)
    assert [(each.name.name, each.type, each.cls) for each in read.queries] == [(text(name), kind, oracle.IN)]
    assert read.answers == read.authority == read.additional == []


@pytest.mark.parametrize(
    ("number", "name", "kind"),
    [
        (7, (b"a" * 64,), A),
        (7, (b"", b"example"), A),
        (7, (b"a" * 63,) * 4, A),
        (65536, HOST, A),
        (-1, HOST, A),
        (7, HOST, 65536),
    ],
)
def test_a_question_that_does_not_fit_is_refused(number: int, name: Name, kind: int) -> None:
    """Labels have 1 to 63 octets, names up to 255 with their lengths, numbers 16 bits."""
    with pytest.raises(DnsMisused):
        write_question(number, name, kind)


def test_the_longest_name_can_be_asked_and_read() -> None:
    """255 octets, as RFC 1035 has it, the last of them the root."""
    longest = (b"a" * 63, b"b" * 63, b"c" * 63, b"d" * 61)
    question = write_question(1, longest, PTR)
    assert len(question) == 12 + 255 + 4
    reply = struct.pack("!6H", 1, 0x8180, 1, 1, 0, 0) + question[12:] + record(question[12:-4], PTR)
    assert read_reply(reply, question).answers == (Record(longest, PTR, 60, longest),)
    with pytest.raises(DnsMisused):
        write_question(1, (*longest[:3], b"d" * 62), PTR)


@given(st.lists(st.tuples(names, st.integers(0, 2**31 - 1), st.binary(min_size=4, max_size=4)), max_size=8))
def test_we_read_what_twisted_writes(rows: list[tuple[Name, int, bytes]]) -> None:
    """With its compression; names come in lower case."""
    loads = [(text(name), oracle.Record_A(socket.inet_ntoa(data), ttl=life)) for name, life, data in rows]
    reply = read_reply(message(*loads), ASKED)
    expected = [Record(tuple(each.lower() for each in name), A, life, data) for name, life, data in rows]
    assert reply == Reply(truncated=False, rcode=0, answers=tuple(expected), nothing_for=None)


def test_every_wanted_type_is_read_and_others_are_skipped() -> None:
    """Among them types that nobody knows, and records of another class."""
    data = message(
        (b"mail.example", oracle.Record_CNAME(b"Host.Example", ttl=5)),
        (b"mail.example", oracle.Record_MX(1, b"mx.example", ttl=5)),
        (b"host.example", oracle.Record_AAAA("2001:db8::1", ttl=6)),
        (b"host.example", oracle.Record_TXT(b"x" * 200, ttl=6)),
        (b"host.example", oracle.Record_PTR(b"name.example", ttl=7)),
    )
    assert read_reply(data, ASKED).answers == (
        Record((b"mail", b"example"), CNAME, 5, (b"host", b"example")),
        Record((b"host", b"example"), AAAA, 6, socket.inet_pton(socket.AF_INET6, "2001:db8::1")),
        Record((b"host", b"example"), PTR, 7, (b"name", b"example")),
    )
    chaos = b"\xc0\x0c" + struct.pack("!HHIH", A, 3, 1, 4) + b"\1\2\3\4"
    assert read_reply(packed(chaos, record(b"\5" * 4, 65280)), ASKED).answers == ()


def test_a_dot_inside_a_label_is_no_boundary() -> None:
    """The label `mail.example` is not the name `mail.example`."""
    reply = read_reply(packed(record(b"\1\2\3\4", owner=b"\x0cmail.example\0")), ASKED)
    assert reply.answers[0].owner == (b"mail.example",)
    assert find_answer(reply, HOST, A).values == ()


def test_what_nothing_is_worth_is_the_smaller_of_two_lives() -> None:
    """RFC 2308, section 5: the SOA record's own life, and its minimum field."""
    soa = oracle.Record_SOA(b"ns.example", b"hostmaster.example", 1, 2, 3, 4, 30, ttl=90)
    reply = read_reply(message(authority=soa, rCode=oracle.ENAME), ASKED)
    assert (reply.rcode, reply.nothing_for) == (dns.NXDOMAIN, 30)
    assert read_reply(message(authority=oracle.Record_NS(b"ns.example", ttl=9)), ASKED).nothing_for is None
    assert read_reply(message(), ASKED).nothing_for is None


def test_a_life_with_its_highest_bit_set_is_none() -> None:
    """RFC 2181, section 8."""
    for life, kept in ((2**31 - 1, 2**31 - 1), (2**31, 0), (2**32 - 1, 0)):
        assert read_reply(packed(record(b"\1\2\3\4", life=life)), ASKED).answers[0].life == kept


def test_a_truncated_reply_says_no_more() -> None:
    """What was cut may be cut anywhere, so nothing behind the question is read."""
    data = packed(record(b"\1\2\3\4")[:-2], flags=0x8380)
    assert read_reply(data, ASKED) == Reply(truncated=True, rcode=0, answers=(), nothing_for=None)


@pytest.mark.parametrize(
    "data",
    [
        message(answer=0),
        message(opCode=2),
        message()[:11],
        b"",
        message()[:-1],
        write_question(8, HOST, A),
        struct.pack("!H", 8) + message()[2:],
        packed(head=write_question(7, HOST, AAAA)),
        packed(head=write_question(7, (b"mall", b"example"), A)),
        ASKED[:2] + b"\x81\x80\0\0\0\0\0\0\0\0" + ASKED[12:],
        ASKED[:2] + b"\x81\x80\0\2\0\0\0\0\0\0" + ASKED[12:],
    ],
)
def test_an_answer_to_something_else_is_none(data: bytes) -> None:
    """Another number, another name or type, a query, another kind of query, no question or two of them."""
    assert not is_reply(data, ASKED)
    with pytest.raises(DnsForeign):
        read_reply(data, ASKED)


def test_the_case_of_letters_means_nothing() -> None:
    """A server may write the question back in capitals."""
    data = message()[:12] + b"\4MAIL\7Example" + message()[25:]
    assert is_reply(data, ASKED)
    assert read_reply(data, ASKED).rcode == 0


@pytest.mark.parametrize(
    "bad",
    [
        record(b"\1\2\3"),  # an address of three octets
        record(b"\1\2\3\4\5"),
        record(b"\1" * 4, AAAA),
        record(b"\1\2\3\4", size=5),  # beyond the message
        record(b"", PTR),
        record(b"\1a\0\0", PTR),  # an octet behind the name
        record(b"\1a", PTR),
        record(b"\xc0\xff", PTR),  # forwards
        record(b"\xc0\x27", PTR),  # to itself
        record(b"\1a\xc0\x27", PTR),  # round in a circle
        record(b"\x40" + b"a" * 64 + b"\0", PTR),  # labels of a kind that nobody uses
        record(b"\x80a\0", PTR),
        record((b"\x3f" + b"a" * 63) * 4 + b"\0", PTR),  # 257 octets
        record(b"\1a\xc0", PTR),
        b"\xc0",
        b"\xc0\x0c\0\1",
        b"\x09short",
    ],
)
def test_a_reply_that_lies_about_its_lengths_is_refused_whole(bad: bytes) -> None:
    """And nothing but our own error comes out."""
    with pytest.raises(DnsRefused):
        read_reply(packed(record(b"\1\2\3\4"), bad), ASKED)


def test_a_lie_behind_the_answers_is_a_lie() -> None:
    """The authority section is within the message, too."""
    soa = record(b"\0\0" + b"\1" * 20, dns.SOA, size=9999)
    data = struct.pack("!6H", 7, 0x8180, 1, 0, 1, 0) + ASKED[12:] + soa
    with pytest.raises(DnsRefused):
        read_reply(data, ASKED)


def test_pointers_may_follow_pointers_so_often() -> None:
    """No name needs more pointers than it has labels."""

    def chained(count: int) -> bytes:
        start = len(packed())
        chain = b"\1a\0" + b"".join(struct.pack("!H", 0xC000 | start + 12 + at) for at in chain_of(count))
        last = 0xC000 | start + 12 + chain_of(count + 1)[-1]
        return packed(record(chain, 65280), record(struct.pack("!H", last), PTR))

    def chain_of(count: int) -> list[int]:
        return [0 if number == 0 else 1 + 2 * number for number in range(count)]

    assert read_reply(chained(126), ASKED).answers[0].value == (b"a",)
    with pytest.raises(DnsRefused):
        read_reply(chained(127), ASKED)


def test_so_many_answers_are_read_and_no_more() -> None:
    """Thousands of records cost what the first of them cost."""
    rows = [record(struct.pack("!I", number)) for number in range(RECORDS + 1)]
    assert len(read_reply(packed(*rows[:RECORDS]), ASKED).answers) == RECORDS
    assert len(read_reply(packed(*rows), ASKED).answers) == RECORDS


def test_a_reply_of_pointers_to_one_long_name_costs_little() -> None:
    """60 KB of them keep Twisted's own reader busy for half a minute."""
    long = (b"\1a" * 127)[:252] + b"\0"
    rows = [record(long, PTR)] + [record(long, PTR) for _ in range(200)]
    began = time.process_time()
    assert len(read_reply(packed(*rows), ASKED).answers) == 201
    with pytest.raises(DnsRefused):
        read_reply(packed(record(b"\1a" * 20_000 + b"\0", PTR), *[record(b"\xc0\x2b", PTR)] * 1000), ASKED)
    assert time.process_time() - began < 1.0


@given(st.binary(max_size=80), st.integers(0, 5), st.integers(0, 5))
@example(b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4\1\2\3\4", 1, 0)
def test_random_octets_raise_nothing_but_our_error(tail: bytes, answers: int, authority: int) -> None:
    """Whatever stands behind a question that matches."""
    data = struct.pack("!6H", 7, 0x8180, 1, answers, authority, 0) + ASKED[12:] + tail
    try:
        reply = read_reply(data, ASKED)
    except DnsRefused:
        return
    assert len(reply.answers) <= answers
    find_answer(reply, HOST, A)


@given(st.binary(max_size=60))
def test_random_messages_are_no_replies(data: bytes) -> None:
    """To guess the number, the name and the type is what it takes."""
    with pytest.raises(DnsRefused):
        read_reply(data, ASKED)


def reply_of(*records: Record) -> Reply:
    """A reply with these answers."""
    return Reply(truncated=False, rcode=0, answers=records, nothing_for=None)


def named(number: int) -> Name:
    """A name of a chain."""
    return (b"n%d" % number, b"example")


def test_an_answer_is_about_the_name_that_was_asked() -> None:
    """Records of others, however like, are no answer."""
    reply = reply_of(
        Record((b"evil", b"example"), A, 60, b"\1\2\3\4"),
        Record(HOST, AAAA, 60, b"\1" * 16),
        Record(HOST, A, 60, b"\5\6\7\x08"),
        Record(HOST, A, 30, b"\5\6\7\x08"),
        Record((b"example",), A, 60, b"\1\2\3\5"),
    )
    assert find_answer(reply, HOST, A) == Answer(HOST, 0, (b"\5\6\7\x08",), 30)
    assert find_answer(reply, (b"other",), A) == Answer((b"other",), 0, (), None)


def test_aliases_are_followed_in_any_order() -> None:
    """As RFC 2317 delegates the reverse names of a few addresses; the shortest life holds for all."""
    reply = reply_of(
        Record(named(2), PTR, 60, HOST),
        Record(named(1), CNAME, 20, named(2)),
        Record(named(0), CNAME, 90, named(1)),
    )
    assert find_answer(reply, named(0), PTR) == Answer(named(2), 2, (HOST,), 20)
    assert find_answer(reply, named(0), CNAME) == Answer(named(0), 0, (named(1),), 90)


def test_an_alias_that_leads_to_nothing_says_where_it_leads() -> None:
    """Whoever asks may ask further."""
    reply = reply_of(Record(HOST, CNAME, 20, named(1)), Record(named(2), A, 60, b"\1\2\3\4"))
    assert find_answer(reply, HOST, A) == Answer(named(1), 1, (), 20)


def test_so_many_aliases_are_followed_and_no_more() -> None:
    """A circle ends there, too."""
    chain = [Record(named(number), CNAME, 60, named(number + 1)) for number in range(HOPS + 1)]
    end = Record(named(HOPS), A, 60, b"\1\2\3\4")
    assert find_answer(reply_of(*chain[:HOPS], end), named(0), A).aliases == HOPS
    with pytest.raises(DnsRefused):
        find_answer(reply_of(*chain, end), named(0), A)
    with pytest.raises(DnsRefused):
        find_answer(reply_of(Record(HOST, CNAME, 1, HOST)), HOST, A)

"""The resolver: one look-up for all who ask, what is remembered, whom it asks, and nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.defer import CancelledError

from netguard.clients.names import Explanation, VerifiedResolver
from netguard.clients.names_lookup import BRIEF
from netguard.clients.places import Places
from netguard.verdict import Failure, NoName, Timeout, Verified
from tests.nameserver import Desk, Hand, a, ptr, result, waits

HERE = "192.0.2.1"
REVERSE = b"1.2.0.192.in-addr.arpa"
NAME = Verified("mail.example")


@define
class Case:
    """A resolver, and the desk where its questions come in."""

    folder: Path
    desk: Desk = field(factory=Desk)
    reactor: Hand = field(factory=Hand)
    hosts: Path = field(init=False)

    def __attrs_post_init__(self) -> None:
        """An empty hosts file."""
        self.hosts = self.folder / "hosts"
        self.hosts.write_text("")

    def resolver(self, **options: Any) -> VerifiedResolver:
        """Make one."""
        settings = {"servers": [self.desk.address], "hosts": str(self.hosts), "places": Places(20, 20), **options}
        return VerifiedResolver(self.reactor, **settings)

    def answer(self, life: int = 300) -> None:
        """The next two questions are answered well."""
        self.desk.answer(self.reactor, (REVERSE, ptr(b"mail.example", life)))
        self.desk.answer(self.reactor, (b"mail.example", a(HERE, life)))


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    """A resolver's surroundings."""
    made = Case(tmp_path)
    yield made
    assert made.reactor.idle
    made.desk.close()


def test_a_look_up(case: Case) -> None:
    """There and back."""
    asked = case.resolver()
    looking = asked.verify(HERE)
    assert asked.under_way == 1
    case.answer()
    assert result(looking) == NAME
    assert asked.under_way == 0


@pytest.mark.parametrize("host", ["localhost", "", "unix", "192.0.2", "\0"])
def test_what_is_no_address_has_no_name(case: Case, host: str) -> None:
    """And nobody is asked."""
    assert result(case.resolver().verify(host)) == NoName()
    assert case.desk.silent()


def test_a_verdict_is_remembered_for_its_time(case: Case) -> None:
    """However the address is written."""
    asked = case.resolver()
    looking = asked.verify(f"::ffff:{HERE}")
    case.answer(60)
    result(looking)
    case.reactor.advance(59.9)
    for host in (HERE, f"::ffff:{HERE}", "::ffff:c000:201"):
        assert result(asked.verify(host)) == NAME
    assert case.desk.silent()
    case.reactor.advance(0.1)
    again = asked.verify(HERE)
    case.answer(60)
    assert result(again) == NAME


def test_what_may_not_be_kept_is_asked_again(case: Case) -> None:
    """A life of 0."""
    asked = case.resolver()
    for _ in range(2):
        looking = asked.verify(HERE)
        case.answer(0)
        assert result(looking) == NAME


@pytest.mark.parametrize(("header", "verdict"), [({"rCode": 2}, Failure(2)), (None, Timeout())])
def test_what_was_not_found_out_is_not_asked_again_at_once(case: Case, header: Any, verdict: Any) -> None:
    """But after five seconds: a server in trouble is not besieged."""
    asked = case.resolver()
    for _ in range(2):
        looking = asked.verify(HERE)
        if header is None:
            case.desk.asked()
            case.reactor.advance(3)
            while not case.desk.silent():
                case.desk.asked()
        else:
            case.desk.answer(case.reactor, **header)
        assert result(looking) == verdict
        case.reactor.advance(BRIEF - 0.1)
        assert result(asked.verify(HERE)) == verdict
        assert case.desk.silent()
        case.reactor.advance(0.1)


def test_so_many_verdicts_are_remembered(case: Case) -> None:
    """The oldest goes."""
    asked = case.resolver(remember=2)
    for number in (1, 2, 3):
        looking = asked.verify(f"192.0.2.{number}")
        case.desk.answer(case.reactor, rCode=3, nothing_for=60)
        result(looking)
    assert len(asked._cache) == 2
    assert result(asked.verify("192.0.2.2")) == result(asked.verify("192.0.2.3")) == NoName()
    again = asked.verify(HERE)
    assert waits(again)
    case.desk.answer(case.reactor, rCode=3)
    result(again)


def test_all_who_ask_are_answered_by_one_look_up(case: Case) -> None:
    """However they write the address; another address is another look-up."""
    asked = case.resolver()
    waiting = [asked.verify(host) for host in (HERE, HERE, f"::ffff:{HERE}")]
    assert asked.under_way == 1
    case.answer()
    assert [result(each) for each in waiting] == [NAME] * 3
    assert case.desk.silent()


def test_who_loses_interest_does_not_spoil_it_for_the_others(case: Case) -> None:
    """Twisted's resolver cancels them all."""
    asked = case.resolver()
    first, second, third = (asked.verify(HERE) for _ in range(3))
    for each in (first, third):
        each.cancel()
        with pytest.raises(CancelledError):
            result(each)
    assert waits(second)
    case.answer()
    assert result(second) == NAME


def test_when_the_last_one_has_lost_interest_nothing_goes_on(case: Case) -> None:
    """No socket and no timer; and the next one begins anew."""
    asked = case.resolver()
    waiting = [asked.verify(HERE) for _ in range(2)]
    case.desk.answer(case.reactor, (REVERSE, ptr(b"mail.example")))
    for each in waiting:
        each.cancel()
        with pytest.raises(CancelledError):
            result(each)
    assert case.reactor.idle
    assert asked.under_way == 0
    case.desk.asked()
    again = asked.verify(HERE)
    case.answer()
    assert result(again) == NAME


def test_an_answer_may_lead_to_the_next_question(case: Case) -> None:
    """Whoever is told may ask at once, and the others are told as well."""
    asked = case.resolver()
    seen: list[Any] = []

    def ask_on(verdict: Any) -> None:
        seen.append(verdict)
        asked.verify(HERE).addCallback(seen.append)

    asked.verify(HERE).addCallback(ask_on)
    asked.verify(HERE).addCallback(seen.append)
    case.answer()
    assert seen == [NAME] * 3


def test_it_can_be_closed(case: Case) -> None:
    """Everybody who waits is told that it was cancelled."""
    asked = case.resolver()
    waiting = [asked.verify(host) for host in (HERE, HERE, "192.0.2.2")]
    asked.close()
    for each in waiting:
        with pytest.raises(CancelledError):
            result(each)
    assert case.reactor.idle
    asked.close()


def test_a_defect_reaches_those_who_wait_and_stops_nobody_else(case: Case) -> None:
    """Should there be one."""

    def broken() -> Any:
        raise ZeroDivisionError

    asked = case.resolver()
    asked._network = type(asked._network)(case.reactor, broken)
    with pytest.raises(ZeroDivisionError):
        result(asked.verify(HERE))
    assert asked.under_way == 0


def test_the_hosts_file_is_believed_and_read_again(case: Case) -> None:
    """What was remembered is forgotten when it changes."""
    case.hosts.write_text(f"{HERE} known.example\n")
    asked = case.resolver()
    assert result(asked.verify(HERE)) == Verified("known.example")
    case.hosts.write_text(f"{HERE} renamed.example\n")
    case.reactor.advance(5)
    assert result(asked.verify(HERE)) == Verified("renamed.example")
    case.hosts.write_text("")
    case.reactor.advance(5)
    looking = asked.verify(HERE)
    case.answer()
    assert result(looking) == NAME


def test_the_servers_are_those_of_resolv_conf(case: Case) -> None:
    """Read again when it changes, without a timer."""
    file = case.folder / "resolv.conf"
    file.write_text("nameserver 127.0.0.1\nnameserver ::1\n")
    asked = case.resolver(servers=None, resolv_conf=str(file))
    assert asked._network.servers() == (("127.0.0.1", 53), ("::1", 53))
    file.write_text("nameserver 192.0.2.53\n")
    case.reactor.advance(5)
    assert asked._network.servers() == (("192.0.2.53", 53),)


@pytest.mark.parametrize("servers", [[], [("dns.example", 53)], [("127.0.0.1", 70000)], [("127.0.0.1", "nosuchname")]])
def test_servers_are_addresses_and_ports(case: Case, servers: Any) -> None:
    """Anything else is told when it is made."""
    with pytest.raises(ValueError, match=r"name servers are|is not a port"):
        case.resolver(servers=servers)


def test_a_time_is_a_time(case: Case) -> None:
    """As text, too."""
    assert case.resolver(within="250ms").within == 0.25
    with pytest.raises(ValueError, match="duration"):
        case.resolver(within=0)


def test_the_deadline_is_that_of_the_resolver(case: Case) -> None:
    """To the point."""
    looking = case.resolver(within=1.5).verify(HERE)
    case.desk.asked()
    case.reactor.advance(1.49)
    assert waits(looking)
    case.reactor.advance(0.01)
    assert result(looking) == Timeout()


def test_an_explanation_has_every_step(case: Case) -> None:
    """And is looked up from the beginning, whatever is remembered."""
    asked = case.resolver()
    looking = asked.verify(HERE)
    case.answer()
    result(looking)
    explaining = asked.explain(HERE)
    case.reactor.advance(0.5)
    while not case.desk.silent():
        question = case.desk.asked()
    case.desk.say(question, question.answer((REVERSE, ptr(b"mail.example"))))
    case.reactor.read()
    case.desk.answer(case.reactor, (b"mail.example", a(HERE)))
    found: Explanation = result(explaining)
    assert (found.verdict, found.seconds) == (NAME, 0.5)
    assert [(each.kind, each.name, each.answers, each.seconds) for each in found.chain] == [
        ("PTR", REVERSE.decode(), (f"{REVERSE.decode()} PTR mail.example",), 0.5),
        ("A", "mail.example", ("mail.example A 192.0.2.1",), 0.0),
    ]


def test_an_explanation_needs_an_address(case: Case) -> None:
    """That is a mistake of whoever asks."""
    with pytest.raises(ValueError, match="'mail' is not an IP address"):
        case.resolver().explain("mail")

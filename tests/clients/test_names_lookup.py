"""From an address to its names and back: five verdicts, for how long they hold, and what hostile zones cannot do."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from itertools import pairwise
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.names import dns

from netguard.clients.names_chain import Step
from netguard.clients.names_files import Hosts, parse_hosts
from netguard.clients.names_lookup import BRIEF, LONGEST_LIFE, LONGEST_NOTHING, MOST_NAMES, LookUp
from netguard.clients.names_question import Network
from netguard.clients.places import Places
from netguard.verdict import Failure, Mismatch, NoName, Timeout, Verdict, Verified
from netguard.wire.dns import HOPS
from tests.nameserver import Desk, Hand, Question, a, aaaa, cname, ptr, result, waits

HERE = "192.0.2.1"
REVERSE = b"1.2.0.192.in-addr.arpa"
NOTHING = parse_hosts(())

Zone = dict[tuple[bytes, int], list[tuple[bytes, Any]] | dict[str, Any] | None]


@define
class Case:
    """A look-up, and the desk where its questions come in."""

    desk: Desk = field(factory=Desk)
    reactor: Hand = field(factory=Hand)
    places: Places = field(factory=lambda: Places(20, 20))
    begun: LookUp | None = None
    questions: list[Question] = field(factory=list)

    def begin(self, address: str = HERE, hosts: Hosts = NOTHING, within: float = 3.0) -> Deferred[Verdict]:
        """Begin one."""
        network = Network(self.reactor, lambda: (self.desk.address,), places=self.places)
        deadline = self.reactor.seconds() + within
        self.begun = LookUp(network, hosts, "/hosts", ip_address(address), deadline, "peer", [])
        return ensureDeferred(self.begun.run())

    def of(self, zone: Zone, address: str = HERE, hosts: Hosts = NOTHING) -> Verdict:
        """What a look-up comes to where a zone says these records; None for silence, until the deadline."""
        looking = self.begin(address, hosts)
        while waits(looking) and not self.desk.silent():
            question = self.desk.asked()
            self.questions.append(question)
            says = zone.get((question.name, question.kind), {"rCode": 3, "nothing_for": 60})
            if says is None:
                continue
            answer = question.answer(**says) if isinstance(says, dict) else question.answer(*says)
            self.desk.say(question, answer)
            self.reactor.read()
        if waits(looking):
            self.reactor.advance(3)
        found: Verdict = result(looking)
        return found

    @property
    def life(self) -> float:
        """For how long the verdict may be kept."""
        assert self.begun is not None
        return self.begun.life

    @property
    def chain(self) -> list[Step]:
        """The steps."""
        assert self.begun is not None
        assert self.begun.chain is not None
        return self.begun.chain

    def close(self) -> None:
        """Nothing may be left."""
        assert self.reactor.idle
        assert self.places.peers == 0
        self.desk.close()


@pytest.fixture
def case() -> Iterator[Case]:
    """A look-up."""
    made = Case()
    yield made
    made.close()


def names(*of: bytes, life: int = 300) -> Zone:
    """A zone in which the address has these names."""
    return {(REVERSE, dns.PTR): [(REVERSE, ptr(each, life)) for each in of]}


def addresses(name: bytes, *of: str, life: int = 300) -> Zone:
    """A zone in which a name has these addresses."""
    return {(name, dns.A): [(name, a(each, life)) for each in of]}


def test_a_name_that_has_the_address_is_verified(case: Case) -> None:
    """Among its addresses is the right one; what holds shorter decides for how long."""
    zone = names(b"Mail.Example", life=200) | addresses(b"mail.example", "198.51.100.1", HERE, life=100)
    assert case.of(zone) == Verified("mail.example")
    assert case.life == 100
    assert [(each.name, each.kind) for each in case.questions] == [(REVERSE, dns.PTR), (b"mail.example", dns.A)]


def test_the_name_of_an_ipv6_address_needs_an_ipv6_address(case: Case) -> None:
    """A name is looked up in the address's own family."""
    reverse = ip_address("2001:db8::1").reverse_pointer.encode()
    zone: Zone = {
        (reverse, dns.PTR): [(reverse, ptr(b"mail.example"))],
        (b"mail.example", dns.AAAA): [(b"mail.example", aaaa("2001:db8::1"))],
    }
    assert case.of(zone, "2001:db8::1") == Verified("mail.example")


@pytest.mark.parametrize("says", [{"rCode": 3, "nothing_for": 60}, {"nothing_for": 60}])
def test_no_name(case: Case, says: dict[str, Any]) -> None:
    """No such name, or nothing at it: for as long as the zone says."""
    assert case.of({(REVERSE, dns.PTR): says}) == NoName()
    assert case.life == 60


@pytest.mark.parametrize(
    ("answers", "life"),
    [
        ([("198.51.100.1", 50)], 50),
        ([], 60),
        (None, 60),
    ],
)
def test_mismatch(case: Case, answers: list[tuple[str, int]] | None, life: float) -> None:
    """The name has another address, or none, or is none: whoever wrote it is not to be believed."""
    zone = names(b"liar.example")
    if answers:
        zone[b"liar.example", dns.A] = [(b"liar.example", a(*each)) for each in answers]
    elif answers is not None:
        zone[b"liar.example", dns.A] = {"nothing_for": 60}
    assert case.of(zone) == Mismatch(("liar.example",))
    assert case.life == life


@pytest.mark.parametrize("name", [REVERSE, b"slow.example"])
def test_timeout(case: Case, name: bytes) -> None:
    """Nobody answers, for the address or for its name."""
    zone = names(b"slow.example")
    zone[name, dns.PTR if name == REVERSE else dns.A] = None
    assert case.of(zone) == Timeout()
    assert case.life == BRIEF
    assert case.chain[-1].outcome == "no answer"


@pytest.mark.parametrize("name", [REVERSE, b"broken.example"])
@pytest.mark.parametrize("rcode", [2, 5])
def test_failure(case: Case, name: bytes, rcode: int) -> None:
    """The server cannot, or will not; that is not a name that is missing."""
    zone = names(b"broken.example")
    zone[name, dns.PTR if name == REVERSE else dns.A] = {"rCode": rcode}
    assert case.of(zone) == Failure(rcode)
    assert case.life == BRIEF


OUTCOMES: dict[str, Any] = {"good": HERE, "bad": "198.51.100.1", "none": {}, "failing": {"rCode": 2}, "silent": None}


@pytest.mark.parametrize(
    ("of", "verdict"),
    [
        (["bad", "good"], Verified("b1.example")),
        (["none", "good", "good"], Verified("b1.example")),
        (["failing", "good"], Verified("b1.example")),
        (["silent", "good"], Verified("b1.example")),
        (["good", "silent"], Verified("a0.example")),
        (["bad", "none"], Mismatch(("a0.example", "b1.example"))),
        (["bad", "failing"], Failure(2)),
        (["silent", "bad"], Timeout()),
        (["failing", "silent", "bad"], Timeout()),
    ],
)
def test_several_names(case: Case, of: list[str], verdict: Verdict) -> None:
    """One that is right is enough, the first in the alphabet. Without one, it is known to be wrong only if all are."""
    named = [b"%c%d.example" % (97 + number, number) for number in range(len(of))]
    zone = names(*reversed(named))
    for name, outcome in zip(named, of, strict=True):
        says = OUTCOMES[outcome]
        zone[name, dns.A] = [(name, a(says))] if isinstance(says, str) else says
    assert case.of(zone) == verdict


def test_so_many_names_are_considered(case: Case) -> None:
    """The first eight in the alphabet, in whatever order they come."""
    named = [b"n%02d.example" % number for number in range(MOST_NAMES + 1)]
    zone = names(*reversed(named)) | addresses(named[-1], HERE)
    assert case.of(zone) == Mismatch(tuple(each.decode() for each in named[:MOST_NAMES]))
    assert len(case.questions) == 1 + MOST_NAMES
    assert case.of(zone | addresses(named[MOST_NAMES - 1], HERE)) == Verified(named[MOST_NAMES - 1].decode())


@pytest.mark.parametrize(
    "octets", [b"esc\x1b[2J", b"line\r\n", b"nul\0", b"blank blank", b"\xc3\xa9", b"-dash", b"$(id)"]
)
def test_what_is_no_host_name_is_never_used(case: Case, octets: bytes) -> None:
    """Not asked for, not in the verdict; and in the chain it is escaped."""
    zone = names(octets + b".example", b"1.2.3.4", b"good.example") | addresses(b"good.example", HERE)
    assert case.of(zone) == Verified("good.example")
    assert len(case.questions) == 2
    assert case.of(names(octets + b".example")) == Mismatch(())
    assert all(text.isprintable() and text.isascii() for step in case.chain for text in (step.name, *step.answers))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=4), min_size=1, max_size=12))
def test_names_of_any_octets_are_harmless(of: list[list[bytes]]) -> None:
    """Whatever a zone has, what comes out is host names."""
    case = Case()
    verdict = case.of(names(*(b".".join(label.replace(b".", b"") or b"x" for label in each) for each in of)))
    case.close()
    assert isinstance(verdict, Mismatch)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.") for name in verdict.names)


@pytest.mark.parametrize("in_one", [True, False])
def test_a_delegated_reverse_name_is_followed(case: Case, in_one: bool) -> None:
    """RFC 2317: the server has the whole chain, or one has to ask for the rest."""
    inner = b"1.0-25.2.0.192.in-addr.arpa"
    alias, end = (REVERSE, cname(inner, 40)), (inner, ptr(b"mail.example", 50))
    zone: Zone = {(REVERSE, dns.PTR): [alias, end] if in_one else [alias], (inner, dns.PTR): [end]}
    assert case.of(zone | addresses(b"mail.example", HERE)) == Verified("mail.example")
    assert case.life == 40
    assert len(case.questions) == (2 if in_one else 3)


def test_an_alias_that_the_server_knows_to_lead_to_nothing_is_nothing(case: Case) -> None:
    """It says so, by the SOA record; one need not ask again."""
    inner = b"inner.example"
    question_of = case.begin()
    question = case.desk.asked()
    case.desk.say(question, question.answer((REVERSE, cname(inner, 40)), nothing_for=30))
    case.reactor.read()
    assert result(question_of) == NoName()
    assert case.life == 30
    assert case.desk.silent()


def test_an_alias_to_a_name_that_does_not_exist_is_nothing(case: Case) -> None:
    """The code is about the last name of the chain."""
    looking = case.begin()
    case.desk.answer(case.reactor, (REVERSE, cname(b"inner.example", 40)), rCode=3)
    assert result(looking) == NoName()
    assert case.life == BRIEF


@pytest.mark.parametrize("in_one", [True, False])
def test_aliases_in_a_circle_are_a_failure(case: Case, in_one: bool) -> None:
    """In one answer, or from one answer to the next: so many, and no more."""
    there, back = (REVERSE, cname(b"x.example")), (b"x.example", cname(REVERSE))
    zone: Zone = {(REVERSE, dns.PTR): [there, back] if in_one else [there], (b"x.example", dns.PTR): [back]}
    assert case.of(zone) == Failure(None)
    assert len(case.questions) == (1 if in_one else HOPS)


def test_a_chain_without_end_is_a_failure(case: Case) -> None:
    """Each answer leads to a new name."""
    named = [REVERSE, *(b"n%d.example" % number for number in range(20))]
    zone: Zone = {(name, dns.PTR): [(name, cname(further))] for name, further in pairwise(named)}
    assert case.of(zone) == Failure(None)
    assert len(case.questions) == HOPS


def test_the_longest_chain_that_is_followed(case: Case) -> None:
    """Eight aliases, one at a time."""
    named = [REVERSE, *(b"n%d.example" % number for number in range(HOPS))]
    zone: Zone = {(name, dns.PTR): [(name, cname(further))] for name, further in pairwise(named)}
    zone[named[HOPS - 1], dns.PTR] = [
        (named[HOPS - 1], cname(named[HOPS])),
        (named[HOPS], ptr(b"mail.example")),
    ]
    assert case.of(zone | addresses(b"mail.example", HERE)) == Verified("mail.example")


def test_records_of_others_count_for_nothing(case: Case) -> None:
    """Twisted's look-ups hand them on: an address of another owner, a name of another address."""
    zone: Zone = {
        (REVERSE, dns.PTR): [(b"9.2.0.192.in-addr.arpa", ptr(b"other.example")), (REVERSE, ptr(b"mail.example"))],
        (b"mail.example", dns.A): [(b"evil.example", a(HERE)), (b"mail.example", a("198.51.100.1"))],
    }
    assert case.of(zone) == Mismatch(("mail.example",))
    assert len(case.questions) == 2


def test_thousands_of_names_cost_little(case: Case) -> None:
    """A few of them are read, eight looked up."""
    assert isinstance(case.of(names(*(b"n%04d.example" % number for number in range(130)))), Mismatch)
    assert len(case.questions) == 1 + MOST_NAMES


@pytest.mark.parametrize(
    ("life", "kept"),
    [(0, 0), (1, 1), (LONGEST_LIFE, LONGEST_LIFE), (LONGEST_LIFE + 1, LONGEST_LIFE), (2**31 - 1, LONGEST_LIFE)],
)
def test_a_verdict_holds_as_long_as_its_records_but_a_day_at_most(case: Case, life: int, kept: float) -> None:
    """Zero is zero."""
    assert case.of(names(b"x.example", life=life) | addresses(b"x.example", HERE, life=life)) == Verified("x.example")
    assert case.life == kept


@pytest.mark.parametrize(("life", "kept"), [(0, 0), (7, 7), (2**31 - 1, LONGEST_NOTHING)])
def test_nothing_holds_as_long_as_its_zone_says_but_three_hours_at_most(case: Case, life: int, kept: float) -> None:
    """RFC 2308, section 5."""
    assert case.of({(REVERSE, dns.PTR): {"rCode": 3, "nothing_for": life}}) == NoName()
    assert case.life == kept


HOSTS = parse_hosts(["192.0.2.1 known.example alias.example", "192.0.2.9 pinned.example", "2001:db8::9 six.example"])


def test_the_hosts_file_comes_first(case: Case) -> None:
    """Nobody is asked."""
    assert case.of({}, hosts=HOSTS) == Verified("known.example")
    assert case.questions == []
    assert case.chain == [Step(HERE, "PTR", ("known.example",), "answered", "/hosts", "file")]
    assert case.life == LONGEST_LIFE


def test_a_name_of_the_hosts_file_has_no_other_addresses(case: Case) -> None:
    """Whoever has a reverse zone cannot borrow it, whatever the DNS says about the name."""
    reverse = b"2.2.0.192.in-addr.arpa"
    zone: Zone = {(reverse, dns.PTR): [(reverse, ptr(b"pinned.example"))]}
    zone |= addresses(b"pinned.example", "192.0.2.2")
    assert case.of(zone, "192.0.2.2", HOSTS) == Mismatch(("pinned.example",))
    assert len(case.questions) == 1
    assert case.chain[-1].server == "/hosts"


def test_a_name_of_the_hosts_file_may_be_one_of_another_family_in_the_dns(case: Case) -> None:
    """The file says nothing about that."""
    reverse = b"2.2.0.192.in-addr.arpa"
    zone: Zone = {(reverse, dns.PTR): [(reverse, ptr(b"six.example"))]}
    assert case.of(zone | addresses(b"six.example", "192.0.2.2"), "192.0.2.2", HOSTS) == Verified("six.example")


def test_names_are_looked_up_at_once(case: Case) -> None:
    """Not one after another: there is one deadline for all."""
    looking = case.begin()
    case.desk.answer(case.reactor, *((REVERSE, ptr(b"n%d.example" % number)) for number in range(8)))
    asked = {case.desk.asked().name for _ in range(8)}
    assert len(asked) == 8
    looking.cancel()
    with pytest.raises(CancelledError):
        result(looking)


def test_the_deadline_is_for_everything(case: Case) -> None:
    """What the first question takes, the second has not."""
    looking = case.begin(within=3.0)
    question = case.desk.asked()
    case.reactor.advance(2.9)
    case.desk.say(question, question.answer((REVERSE, ptr(b"slow.example"))))
    case.reactor.read()
    assert waits(looking)
    case.reactor.advance(0.1)
    assert result(looking) == Timeout()


def test_a_look_up_can_be_cancelled_at_its_first_question(case: Case) -> None:
    """And nothing is left."""
    looking = case.begin()
    looking.cancel()
    with pytest.raises(CancelledError):
        result(looking)
    assert case.reactor.idle


def test_nobody_pays_for_a_chain_that_nobody_wants(case: Case) -> None:
    """Without a list, none is written."""
    network = Network(case.reactor, lambda: (case.desk.address,), places=case.places)
    looking = ensureDeferred(LookUp(network, HOSTS, "/hosts", ip_address("192.0.2.3"), 3.0, "peer").run())
    case.desk.answer(case.reactor, rCode=3)
    assert result(looking) == NoName()
    assert result(ensureDeferred(LookUp(network, HOSTS, "/hosts", ip_address(HERE), 3.0, "peer").run()))

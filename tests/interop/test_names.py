"""Verified names from a real name server: every way in which the names of an address can be right, wrong or missing."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, cast

import pytest

from netguard.clients.names import Explanation, VerifiedResolver
from netguard.verdict import Failure, Mismatch, NoName, Verdict, Verified
from tests import unbound

pytestmark = pytest.mark.skipif(unbound.UNBOUND is None, reason="unbound is not installed")

_MANY = "".join(f"20 PTR many-{number:02}.{'x' * 50}.example.\n" for number in range(40, 0, -1))
_WIDE = "".join(f"wide A 198.51.100.{number}\n" for number in range(100)) + "wide A 192.0.2.16\n"

ZONES = {
    "2.0.192.in-addr.arpa": f"""
1 PTR good.example.
3 PTR liar.example.
4 PTR alias.example.
5 CNAME 5.0-25.2.0.192.in-addr.arpa.
5.0-25 PTR delegated.example.
6 PTR b.example.
6 PTR a.example.
6 PTR c.example.
7 PTR absent.example.
8 PTR broken.invalid-zone.example.
9 CNAME 10
10 CNAME 9
11 PTR two\\032words.example.
11 PTR esc\\027[2J.example.
11 PTR -dash.example.
11 PTR 192.0.2.11.
12 PTR under_score.example.
13 PTR xn--bcher-kva.example.
14 PTR UPPER.Example.
15 CNAME nothing.example.
16 PTR wide.example.
17 PTR good.example.
17 PTR broken.invalid-zone.example.
19 PTR six.example.
{_MANY}
21 PTR many-03.{"x" * 50}.example.
21 PTR zz.example.
""",
    "8.b.d.0.1.0.0.2.ip6.arpa": f"""
{"1." + "0." * 22 + "0"} PTR six.example.
{"2." + "0." * 22 + "0"} PTR good.example.
""",
    "example": f"""
ns A 127.0.0.1
good A 192.0.2.1
liar A 198.51.100.1
alias CNAME real
real A 192.0.2.4
delegated A 192.0.2.5
a A 198.51.100.6
b A 198.51.100.6
b A 192.0.2.6
c A 192.0.2.6
under_score A 192.0.2.12
xn--bcher-kva A 192.0.2.13
upper A 192.0.2.14
six AAAA 2001:db8::1
many-08.{"x" * 50} A 192.0.2.20
many-09.{"x" * 50} A 192.0.2.20
{_WIDE}
""",
    "invalid-zone.example": None,
    "3.0.192.in-addr.arpa": None,
}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where unbound listens."""
    with unbound.serving(tmp_path_factory.mktemp("unbound"), ZONES) as running:
        yield running


def resolver(port: int, host: str = "127.0.0.1", **options: Any) -> VerifiedResolver:
    """A resolver that asks unbound."""
    from twisted.internet import reactor

    return VerifiedResolver(reactor, [(host, port)], options.pop("within", 60), hosts="/dev/null", **options)


async def explained(port: int, address: str, **options: Any) -> Explanation:
    """A look-up in its steps."""
    return await resolver(port, **options).explain(address)


CASES: list[tuple[str, Verdict]] = [
    ("192.0.2.1", Verified("good.example")),
    ("::ffff:192.0.2.1", Verified("good.example")),
    ("192.0.2.2", NoName()),
    ("192.0.2.3", Mismatch(("liar.example",))),
    ("192.0.2.4", Verified("alias.example")),
    ("192.0.2.5", Verified("delegated.example")),
    ("192.0.2.6", Verified("b.example")),
    ("192.0.2.7", Mismatch(("absent.example",))),
    ("192.0.2.8", Failure(2)),
    ("192.0.2.9", Failure(2)),
    ("192.0.2.11", Mismatch(())),
    ("192.0.2.12", Verified("under_score.example")),
    ("192.0.2.13", Verified("xn--bcher-kva.example")),
    ("192.0.2.14", Verified("upper.example")),
    ("192.0.2.15", NoName()),
    ("192.0.2.16", Verified("wide.example")),
    ("192.0.2.17", Failure(2)),
    ("192.0.2.19", Mismatch(("six.example",))),
    ("192.0.2.21", Mismatch((f"many-03.{'x' * 50}.example", "zz.example"))),
    ("192.0.3.1", Failure(2)),
    ("2001:db8::1", Verified("six.example")),
    ("2001:db8::1%eth0", Verified("six.example")),
    ("2001:db8::2", Mismatch(("good.example",))),
    ("2001:db8::3", NoName()),
]


@pytest.mark.parametrize(("address", "verdict"), CASES)
async def test_every_case_of_a_zone(port: int, address: str, verdict: Verdict) -> None:
    """Told apart, each for itself."""
    assert (await explained(port, address)).verdict == verdict


async def test_forty_names_come_over_tcp_and_the_first_eight_are_considered(port: int) -> None:
    """The eighth in the alphabet is right; the ninth, which is as right, is not looked at any more."""
    found = await explained(port, "192.0.2.20")
    assert found.verdict == Verified(f"many-08.{'x' * 50}.example")
    assert [(step.kind, step.over) for step in found.chain] == [("PTR", "TCP"), *[("A", "UDP")] * 8]


async def test_a_name_of_a_hundred_addresses_comes_over_tcp(port: int) -> None:
    """All of them are compared."""
    found = await explained(port, "192.0.2.16")
    assert [(step.kind, step.over) for step in found.chain] == [("PTR", "UDP"), ("A", "TCP")]


async def test_the_chain_tells_what_was_asked_and_answered(port: int) -> None:
    """With every alias, as in a zone file."""
    found = await explained(port, "192.0.2.5")
    assert [step.answers for step in found.chain] == [
        (
            "5.2.0.192.in-addr.arpa CNAME 5.0-25.2.0.192.in-addr.arpa",
            "5.0-25.2.0.192.in-addr.arpa PTR delegated.example",
        ),
        ("delegated.example A 192.0.2.5",),
    ]
    assert {step.server for step in found.chain} == {f"127.0.0.1:{port}"}
    hostile = await explained(port, "192.0.2.11")
    assert all(answer.isascii() and answer.isprintable() for step in hostile.chain for answer in step.answers)
    assert "11.2.0.192.in-addr.arpa PTR esc\\027[2j.example" in hostile.chain[0].answers


async def test_a_server_may_have_an_ipv6_address(port: int) -> None:
    """In resolv.conf both kinds stand."""
    found = await explained(port, "192.0.2.1", host="::1")
    assert found.verdict == Verified("good.example")
    assert found.chain[0].server == f"[::1]:{port}"


async def test_everything_can_go_over_tcp(port: int) -> None:
    """As through a proxy."""
    from twisted.internet import reactor
    from twisted.internet.endpoints import TCP4ClientEndpoint

    def connect(host: str, port: int) -> TCP4ClientEndpoint:
        return TCP4ClientEndpoint(cast("Any", reactor), host, port)

    found = await explained(port, "192.0.2.4", connect=connect)
    assert found.verdict == Verified("alias.example")
    assert {step.over for step in found.chain} == {"TCP"}


async def test_what_its_records_allow_is_kept(port: int) -> None:
    """300 seconds for a name, 40 for none: the zone says so."""
    asked = resolver(port)
    for address in ("192.0.2.1", "192.0.2.2"):
        await asked.verify(address)
    now = asked._cache.seconds()
    lives = {address: until - now for address, (until, _) in asked._cache._kept.items()}
    assert 200 < lives["192.0.2.1"] <= 300
    assert 0 < lives["192.0.2.2"] <= 40


async def test_a_hundred_at_once(port: int) -> None:
    """Each address is looked up once, whoever asks, and all have their answer."""
    asked = resolver(port)
    waiting = [asked.verify(address) for address, _ in CASES for _ in range(5)]
    assert asked.under_way == len({address.partition("%")[0].removeprefix("::ffff:") for address, _ in CASES})
    verdicts = [await each for each in waiting]
    assert verdicts == [verdict for _, verdict in CASES for _ in range(5)]
    assert asked.under_way == 0


async def test_a_server_that_is_not_there_is_passed_over(port: int) -> None:
    """The next one is asked at once, not after a time-out."""
    from twisted.internet import reactor

    with socket.socket(type=socket.SOCK_DGRAM) as taken:  # so that nobody else takes the port; it hears port 9 alone
        taken.bind(("127.0.0.1", 0))
        taken.connect(("127.0.0.1", 9))
        nobody = taken.getsockname()
        both = VerifiedResolver(reactor, [nobody, ("127.0.0.1", port)], 600, hosts="/dev/null")
        found = await both.explain("192.0.2.1")
        assert found.verdict == Verified("good.example")
        assert found.seconds < 60
        alone = VerifiedResolver(reactor, [nobody], 60, hosts="/dev/null")
        assert await alone.verify("192.0.2.1") == Failure(None)

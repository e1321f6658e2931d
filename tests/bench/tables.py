"""What the tables of peers cost: memory under a million hostile addresses, and time for a decision.

``python tests/bench/run.py penalties``; the memory is that of a process of its own (``python tests/bench/tables.py``).
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
import timeit
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.logger import globalLogBeginner

from netguard.errors import Reason
from netguard.guards.penalties import Ledger
from netguard.load.signals import Signals
from netguard.peer import Caller
from netguard.policy import Policy, defaults
from netguard.wrapper import Wrapper

if TYPE_CHECKING:
    from netguard.factory import GuardedFactory

LISTED = 500
"""Networks of either family that the access rules deny, as a list of hostile ones has them."""
RULES = ",".join([
    *(f"deny 45.{number >> 8}.{number & 0xFF}.0/24,deny 2400:{number:x}::/32" for number in range(LISTED)), "allow ALL"
])  # fmt: skip
ADMISSION = {
    "max-connections": "1000000", "max-per-peer": "100", "connect-rate": "1000000/s", "connect-rate-per-peer": "10/h",
    "proxy-from": "10.0.0.0/8", "shed": "lag>250ms,fds>90%,connections>1000000", "exempt": "10.0.0.0/8,fd00::/8",
    "rules": RULES, "penalty": "10/10m", "penalty-exempt": "127.0.0.1,::1",
}  # fmt: skip
"""All guards that decide about a newcomer without waiting, each with work to do."""
ON_IN_POP = ("max-connections", "max-per-peer", "shed", "penalty", "penalty-exempt")
HOSTILE = 1_000_000
KNOWN = 10_000
ROUNDS, PART = 7, 250
EMPTY = min(timeit.repeat(time.perf_counter, number=10_000, repeat=5)) / 10_000
"""Seconds that it takes to look at the clock."""


def _house(options: dict[str, str]) -> GuardedFactory:
    clock: Any = Clock()
    factory = Policy.from_options(options).wrap(Factory.forProtocol(Protocol), clock, verbose=False)
    factory.service.signals = Signals.fixed({})
    return factory


def _ipv6(number: int) -> IPv6Address:
    return IPv6Address("TCP", f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1", 40_000)


def _ipv4(number: int) -> IPv4Address:
    return IPv4Address("TCP", f"198.{18 + (number >> 16)}.{number >> 8 & 0xFF}.{number & 0xFF}", 40_000)


def _resident() -> float:
    """MiB of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def hostile() -> None:
    """Let each of a million networks connect and misbehave: most once, every fiftieth with forty passwords."""
    globalLogBeginner.beginLoggingTo([], discardBuffer=True, redirectStandardIO=False)
    factory = _house(ADMISSION)
    before, began = _resident(), time.perf_counter()
    for number in range(HOSTILE):
        factory.reactor.advance(0.001)  # type: ignore[attr-defined]
        wrapper: Any = factory.admit(_ipv6(number))
        for each in range(40 if number % 50 == 0 else 1):
            wrapper.connection.misdeed("failed-login", once=b"%d %d" % (number, each))
        factory.abandoned(wrapper)
    grown, lasted = _resident() - before, time.perf_counter() - began
    ledger: Ledger = factory.service.penalties[0]
    print(f"{HOSTILE} hostile networks, {HOSTILE // 50} of them guessing: all tables together    bar: < 64 MiB")
    print(f"  {grown:6.1f} MiB   {len(ledger.table)} peers, {len(ledger.table.offenders)} of them offenders")
    print(f"  {lasted / HOSTILE * 1e6:6.1f} µs for each, with its connection and its misdeeds")


def _ask(factory: GuardedFactory, peers: list[Any]) -> tuple[float, float]:
    """Microseconds of the decision about one of these peers, who are all let in or all refused, and of counting it.

    The decision begins with the text that a socket's accept gives, and ends with a reason or with who has to count.
    """
    opening, clock, seconds = factory.opening, time.perf_counter, factory.reactor.seconds
    decided, counted, refused = 0.0, 0.0, set()
    for address in peers:
        host = "".join(address.host)  # it is new, as a socket's is
        began = clock()
        caller = Caller(host, 40_000, seconds())
        answer = opening.judge(caller)
        decided += clock() - began
        refused.add(isinstance(answer, Reason))
        if not isinstance(answer, Reason):
            connection = Wrapper(factory, address, 0, caller).connection
            opening.begin(connection, answer)
            began = clock()
            opening.ask(connection, iter(answer.openers), address)
            counted += clock() - began
            connection.end()
    assert len(refused) == 1
    return (decided / len(peers) - EMPTY) * 1e6, max(0.0, counted / len(peers) - EMPTY) * 1e6


def _rounds(house: GuardedFactory, peers: list[Any]) -> Iterator[tuple[float, float]]:
    """All of them several times, in small parts, whose best tenth was hardly disturbed."""
    for at in [*range(0, len(peers), PART)] * ROUNDS:
        yield _ask(house, peers[at : at + PART])


def decision() -> None:
    """Ask the admission guards about peers of whom each has a connection, and about as many offenders."""
    print(f"the decision: {KNOWN} known peers and {KNOWN} offenders, asked in turn, µs    bar: <= 5")
    everything = {**ADMISSION, "connect-rate-per-peer": "100000/h"}
    of_pop = {**dict.fromkeys(defaults("pop"), "off"), **{flag: defaults("pop")[flag] for flag in ON_IN_POP}}
    for guards, options in (("all guards", everything), ("those of netguard-pop", of_pop)):
        for name, address in (("IPv4", _ipv4), ("IPv6", _ipv6)):
            house = _house({**options, "max-connections": "1000000"})
            peers, offenders = ([address(number) for number in range(at, at + KNOWN)] for at in (0, KNOWN))
            for each in offenders:
                _penalise(house, each)
            assert len(house.service.penalties[0].table.offenders) == KNOWN
            there = [house.admit(each) for each in peers]
            assert None not in there
            (let_in, counted), (refused, _) = (
                [statistics.quantiles(each, n=10)[0] for each in zip(*_rounds(house, those), strict=True)]
                for those in (peers, offenders)
            )
            figures = f"let in {let_in:5.2f}, and counted {counted:5.2f}; refused for a penalty {refused:5.2f}"
            print(f"  {guards:21} {name}: {figures}")


def _penalise(house: GuardedFactory, address: Any) -> None:
    connection = Wrapper(house, address, 0).connection
    for _ in range(11):
        connection.misdeed("failed-login")


def penalties() -> None:
    """The tables of peers: their memory under a million hostile addresses, then the time of a decision."""
    subprocess.run([sys.executable, __file__], check=True)
    decision()


BENCHES = {"penalties": penalties}

if __name__ == "__main__":
    hostile()

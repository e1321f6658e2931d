"""What it costs to watch a service with many connections: ``python tests/bench/run.py watching``.

The connections are there in memory, under the guards of netguard-pop; the commands are those of the control socket. For
each: how long all of it takes, and the longest single turn of the reactor in it, for which everybody else waits, in
time of the processor.
"""

from __future__ import annotations

import sys
import time
import timeit
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import ensureDeferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from netguard.figures import Figures
from netguard.policy import Policy
from netguard.process.commands import find
from netguard.process.control_session import answer
from netguard.process.heartbeat import Heartbeat
from netguard.process.operator import Operator
from netguard.process.vitals import Vitals

COMMANDS = (
    "status",
    "connections sort=age most=24",
    "connections match=192.0 most=24",
    "connections",
    "limits",
    "penalties",
)
ROUNDS = 5


class Turns(Clock):
    """A clock whose next turns are taken one by one.

    Attributes:
        soon: what is to be called in the next turns.
    """

    def __init__(self) -> None:
        super().__init__()
        self.soon: list[Callable[[], object]] = []

    def callLater(self, delay: float, do: Any, *args: object, **named: object) -> Any:  # type: ignore[override]
        """Keep what is due at once; nothing else is waited for here."""
        if not delay:
            self.soon.append(partial(do, *args, **named))
        return super().callLater(delay or 1e9, do, *args, **named)


def house_of(count: int, clock: Any) -> Any:
    """A service with so many connections."""
    options = {"max-connections": str(count), "max-per-peer": "off", "shed": "off"}
    factory = Policy.from_options(options, "pop").wrap(Factory.forProtocol(Protocol), clock, verbose=False)
    for number in range(count):
        host = f"192.0.{number // 250 % 250}.{number % 250}"
        wrapper: Any = factory.admit(IPv4Address("TCP", host, 40_000))
        wrapper.makeConnection(StringTransport())
        wrapper.dataReceived(b"x" * (number % 100 + 1))
    return factory


def timed(operator: Operator, clock: Any, line: str) -> tuple[float, float]:
    """Seconds of all turns that a command takes, and of the longest; encoding its answer included."""
    turns = []
    answers: list[Any] = []
    command, words = find(operator.commands, line)
    call = command.call(words)
    began = time.process_time()
    result = command.do(call)
    if hasattr(result, "__await__"):
        ensureDeferred(result).addCallback(answers.append)
    else:
        answers.append(result)
    turns.append(time.process_time() - began)
    while not answers:
        do = clock.soon.pop(0)
        began = time.process_time()
        do()
        turns.append(time.process_time() - began)
    began = time.process_time()
    answer({"ok": True, **answers[0]})
    turns.append(time.process_time() - began)
    return sum(turns), max(turns)


def counted(factory: Any) -> tuple[float, float]:
    """Seconds that a connection takes from its beginning to its end, and those of them that go into counting."""
    figures, address, why = Figures(), IPv4Address("TCP", "198.51.100.7", 40_000), Failure(ConnectionDone())
    factory.service.dials[0].set("1000000000")

    def live() -> None:
        wrapper: Any = factory.admit(address)
        wrapper.makeConnection(StringTransport())
        wrapper.dataReceived(b"x")
        wrapper.connectionLost(why)

    def count() -> None:
        figures.came()
        figures.accepted += 1
        figures.now -= 1
        figures.bytes_in += 1
        figures.bytes_out += 0
        figures.closed += 1

    return tuple(min(timeit.repeat(do, number=2000, timer=time.process_time)) for do in (live, count))  # type: ignore[return-value]


def watching(count: int = 10_000) -> None:
    """What it costs to watch a service with so many connections."""
    clock: Any = Turns()
    factory = house_of(count, clock)
    house = factory.service
    vitals = Vitals(house)
    operator = Operator(house, vitals, clock)
    print(f"{count} connections; milliseconds, the best of {ROUNDS}")
    print(f"{'':34} {'all':>8} {'longest turn':>13}")
    for line in COMMANDS:
        measured = [timed(operator, clock, line) for _ in range(ROUNDS)]
        whole, longest = min(each for each, _ in measured), min(each for _, each in measured)
        print(f"{line:34} {whole * 1000:8.2f} {longest * 1000:13.2f}")
    heart = Heartbeat(vitals, 60.0, clock)
    began = time.process_time()
    for _ in range(ROUNDS):
        heart.on()
    beat = (time.process_time() - began) / ROUNDS
    print(f"{'a line of the heartbeat':34} {beat * 1000:8.2f} {beat * 1000:13.2f}")
    look = sum(min(timed(operator, clock, line)[0] for _ in range(ROUNDS)) for line in COMMANDS[:2])
    life, counting = counted(factory)
    print(f"\ncounting takes {counting / life:.2%} of a connection's life in memory, and nothing of a byte's")
    print(f"a heartbeat every 60s takes {beat / 60:.4%} of a core, netguard top every 2s {look / 2:.3%}")


BENCHES = {"watching": watching}

if __name__ == "__main__":
    watching(*map(int, sys.argv[1:]))

"""One server of a benchmark, in a process of its own: ``server.py KIND``.

It prints its port, then answers each line on standard input: ``cpu`` with the CPU seconds used so far, ``memory`` with
its resident KiB, ``sweep`` with the milliseconds that one sweep of all its connections takes.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from options import GENEROUS
from twisted.internet import epollreactor

epollreactor.install()

from twisted.internet import reactor as _reactor  # noqa: E402
from twisted.internet.address import IPv4Address  # noqa: E402
from twisted.internet.protocol import Factory, Protocol  # noqa: E402
from twisted.internet.stdio import StandardIO  # noqa: E402
from twisted.logger import globalLogBeginner  # noqa: E402
from twisted.protocols.basic import LineOnlyReceiver  # noqa: E402
from twisted.protocols.policies import ThrottlingFactory, TimeoutFactory, WrappingFactory  # noqa: E402
from twisted.web.resource import Resource  # noqa: E402
from twisted.web.server import Site  # noqa: E402

from netguard.fleet.joining import join_fleet  # noqa: E402
from netguard.guarded_endpoints import announce  # noqa: E402
from netguard.policy import Policy  # noqa: E402
from netguard.wrapper import Wrapper  # noqa: E402

reactor: Any = _reactor


class Echo(LineOnlyReceiver):
    """Answers each line with itself."""

    def lineReceived(self, line: bytes) -> None:
        """Answer."""
        self.sendLine(line)


class Counter(Protocol):
    """What a counting WrappingFactory makes."""


def stack(factory: Factory) -> Any:
    """Twisted's own wrappers: a time-out, throttling, and a counting wrapper."""
    return TimeoutFactory(ThrottlingFactory(WrappingFactory(factory), 100_000, 10**10, 10**10), 3600)


def policy(**changes: str) -> Policy:
    """All guards that ask nobody else, with limits that nobody reaches, but for some."""
    return Policy.from_options(GENEROUS | {name.replace("_", "-"): value for name, value in changes.items()})


def penalising(factory: Factory) -> Any:
    """One that has penalised whoever will come."""
    made = policy(penalty="1/h", penalty_for="1h", peer_prefix="8,8", refusal="reset").wrap(factory, verbose=False)
    for _ in range(3):
        Wrapper(made, IPv4Address("TCP", "127.0.0.1", 1), 0).connection.misdeed("failed-login")
    return made


class Names(LineOnlyReceiver):
    """An ident server that names the same for everybody."""

    def lineReceived(self, line: bytes) -> None:
        """Answer."""
        self.sendLine(line + b" : USERID : UNIX :joe")


class Page(Resource):
    """A small page."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        """It."""
        return b"<html>" + b"x" * 200 + b"</html>"


class Refuses(Factory):
    """The cheapest refusal that Twisted has."""

    def buildProtocol(self, addr: object) -> None:
        """Refuse."""


def in_a_fleet(factory: Factory) -> Any:
    """One of several machines that count together."""
    made = policy().wrap(factory, reactor, verbose=False)
    join_fleet(made, os.environ["NETGUARD_BENCH_LEDGER"])
    return made


_UNLIMITED = {"max-per-peer": "off", "max-connections": "off"}

KINDS: dict[str, Callable[[Factory], Any]] = {
    "bare": lambda factory: factory,
    "stack": stack,
    "guarded": lambda factory: policy().wrap(factory, verbose=False),
    "verbose": lambda factory: policy().wrap(factory),
    "defaults": lambda factory: Policy.from_options(_UNLIMITED, "guard").wrap(factory, verbose=False),
    "one": lambda factory: Policy.from_options({"idle": "1h"}).wrap(factory, verbose=False),
    "wrapper": lambda factory: policy(transport="stock").wrap(factory, verbose=False),
    "ledger": in_a_fleet,
    "web": lambda _: Site(Page()),
    "web-guarded": lambda _: policy().wrap(Site(Page()), verbose=False),
    "web-wrapper": lambda _: policy(transport="stock").wrap(Site(Page()), verbose=False),
    "ident": lambda _: Factory.forProtocol(Names),
    # who lets in nobody, or one
    "none": lambda _: Refuses(),
    "reset": lambda factory: policy(max_connections="1", refusal="reset").wrap(factory, verbose=False),
    "close": lambda factory: policy(max_connections="1").wrap(factory, verbose=False),
    "rate": lambda factory: policy(connect_rate="1/h", refusal="reset").wrap(factory, verbose=False),
    "per-peer": lambda factory: policy(max_per_peer="1", peer_prefix="8,8", refusal="reset").wrap(
        factory, verbose=False
    ),
    "shed": lambda factory: policy(shed="rss>1MiB", exempt="127.0.0.1", refusal="reset").wrap(factory, verbose=False),
    "rules": lambda factory: policy(rules="deny 127.0.0.0/8", refusal="reset").wrap(factory, verbose=False),
    "penalty": penalising,
    "wrapper-close": lambda factory: policy(max_connections="1", transport="stock").wrap(factory, verbose=False),
}


class Console(Protocol):
    """Answers what the benchmark asks for."""

    def __init__(self, factory: Any) -> None:
        self.guarded = factory

    def dataReceived(self, data: bytes) -> None:
        """Answer each word with a number."""
        for word in data.decode().split():
            print(getattr(self, word)(), flush=True)

    def cpu(self) -> float:
        """CPU seconds of this process."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    def memory(self) -> int:
        """Resident KiB, without garbage."""
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024

    def sweep(self) -> float:
        """Milliseconds of one sweep: the best of twenty."""

        def once() -> float:
            began = time.perf_counter()
            self.guarded.sweep()
            return time.perf_counter() - began

        return min(once() for _ in range(20)) * 1000

    def elsewhere(self) -> int:
        """How many peers are known for what they do on other machines."""
        return int(self.guarded.service.offers["ledger"].reading()["peers"])

    def connectionLost(self, reason: object = None) -> None:
        """The benchmark is over."""
        reactor.stop()


def main(kind: str) -> None:
    """Serve until standard input ends."""
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False)
    factory: Any = Factory.forProtocol(Echo)
    factory.noisy = False
    served = KINDS[kind](factory)
    served.noisy = False
    port: Any = announce(reactor.listenTCP(0, served, interface="127.0.0.1", backlog=4096), served)
    StandardIO(Console(served))
    print(port.getHost().port, flush=True)
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1])

"""One server of a benchmark, in a process of its own: ``server.py KIND``.

It prints its port, then answers each line on standard input: ``cpu`` with the CPU seconds used so far, ``memory`` with
its resident KiB, ``sweep`` with the milliseconds that one sweep of all its connections takes.
"""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import epollreactor

epollreactor.install()

from twisted.internet import reactor as _reactor  # noqa: E402
from twisted.internet.protocol import Factory, Protocol  # noqa: E402
from twisted.internet.stdio import StandardIO  # noqa: E402
from twisted.logger import globalLogBeginner  # noqa: E402
from twisted.protocols.basic import LineOnlyReceiver  # noqa: E402
from twisted.protocols.policies import ThrottlingFactory, TimeoutFactory, WrappingFactory  # noqa: E402

from netguard.policy import Policy, defaults, flags  # noqa: E402

reactor: Any = _reactor

GENEROUS = {
    "idle": "1h", "first-byte": "1h", "handshake": "1h", "login": "1h", "lifetime": "24h", "write-stall": "1h",
    "min-rate-in": "1", "min-rate-out": "1", "min-rate-grace": "10s", "max-in": "10GiB", "max-out": "10GiB",
    "max-item": "64KiB", "max-queue": "64MiB", "delimiter": r"\r\n", "rate-in": "10GiB", "rate-out": "10GiB",
    "max-connections": "100000", "max-per-peer": "100000", "peer-prefix": "32,64", "connect-rate": "1000000/s",
    "connect-rate-per-peer": "1000000/s",
}  # fmt: skip
"""Every option of the catalogue on, and none of them reached."""

assert GENEROUS.keys() == flags().keys(), GENEROUS.keys() ^ flags().keys()


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


KINDS: dict[str, Callable[[Factory], Any]] = {
    "bare": lambda factory: factory,
    "stack": stack,
    "guarded": lambda factory: Policy.from_options(GENEROUS).wrap(factory, verbose=False),
    "verbose": lambda factory: Policy.from_options(GENEROUS).wrap(factory),
    "defaults": lambda factory: Policy.from_options(
        defaults("guard") | {"max-per-peer": "off", "max-connections": "off"}
    ).wrap(factory, verbose=False),
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

    def connectionLost(self, reason: object = None) -> None:
        """The benchmark is over."""
        reactor.stop()


def main(kind: str) -> None:
    """Serve until standard input ends."""
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False)
    factory = Factory.forProtocol(Echo)
    factory.noisy = False
    served = KINDS[kind](factory)
    port = reactor.listenTCP(0, served, interface="127.0.0.1", backlog=4096)
    StandardIO(Console(served))
    print(port.getHost().port, flush=True)
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1])

"""netguard-pop in a process of its own, to be measured: ``pop_server.py [at-once] OPTIONS OF NETGUARD-POP``.

With ``at-once`` it answers failed logins as soon as it knows of them, and hashes passwords cheaply.

It prints its ports, then answers each line on standard input with a number: ``mark`` begins to measure (and is answered
with the resident KiB), ``peak`` is the highest resident KiB since then, ``gap`` the longest time in milliseconds for
which the reactor did nothing but one thing, ``nodelay`` whether the last connection has TCP_NODELAY.
"""

from __future__ import annotations

import gc
import re
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from twisted.internet import epollreactor

epollreactor.install()

from twisted.internet import reactor as _reactor  # noqa: E402
from twisted.internet.protocol import Protocol  # noqa: E402
from twisted.internet.stdio import StandardIO  # noqa: E402
from twisted.internet.task import LoopingCall  # noqa: E402
from twisted.logger import globalLogBeginner  # noqa: E402

from netguard.accounts import passwords  # noqa: E402
from netguard.accounts.checks import StoredAccounts  # noqa: E402
from netguard.accounts.judge import Judge  # noqa: E402
from netguard.plugins import pop  # noqa: E402
from netguard.plugins.listening import ListeningService  # noqa: E402
from netguard.pop3.session import Pop3Session  # noqa: E402

reactor: Any = _reactor
BEAT = 0.001


class Console(Protocol):
    """Answers what the benchmark asks for."""

    def connectionMade(self) -> None:
        """Have something to watch the reactor with, which waits for ``mark``: it costs what others want to measure."""
        self.longest, self.last = 0.0, time.perf_counter()
        self.beating = LoopingCall(self.beat)

    def beat(self) -> None:
        """The reactor has come round; a beat that comes late was kept waiting."""
        now = time.perf_counter()
        self.longest = max(self.longest, now - self.last - BEAT)
        self.last = now

    def dataReceived(self, data: bytes) -> None:
        """Answer each word with a number."""
        for word in data.decode().split():
            print(getattr(self, word)(), flush=True)

    def mark(self) -> int:
        """Begin: forget the peak and the longest gap."""
        gc.collect()
        if not self.beating.running:
            self.beating.start(BEAT)
        self.longest, self.last = 0.0, time.perf_counter()
        Path("/proc/self/clear_refs").write_text("5")  # the kernel's word for: begin to watch the peak anew
        return _status("VmRSS")

    def peak(self) -> int:
        """The highest resident KiB."""
        return _status("VmHWM")

    def gap(self) -> float:
        """Milliseconds."""
        return self.longest * 1000

    def nodelay(self) -> int:
        """Whether every POP3 session that is there leaves small segments alone."""
        sessions = [each for each in gc.get_objects() if type(each) is Pop3Session and each.transport is not None]
        return int(bool(sessions) and all(each.transport.getTcpNoDelay() for each in sessions))

    def connectionLost(self, reason: object = None) -> None:
        """The benchmark is over."""
        reactor.stop()


def _status(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


def main(words: list[str]) -> None:
    """Serve until standard input ends."""
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False)
    at_once, options = words[:1] == ["at-once"], pop.Options()
    options.parseOptions(words[at_once:])
    if at_once:
        options.terms = attrs.evolve(options.terms, answer_failures_after=0)
        judge = partial(Judge, cost=passwords.Cost(memory=64, passes=1, lanes=1))
        options.who_may = lambda: StoredAccounts(options["accounts"], judge=judge)  # type: ignore[method-assign]
    service = pop.makeService(options)
    service.privilegedStartService()
    service.startService()
    ports: list[Any] = []
    for each in service:
        if isinstance(each, ListeningService):
            each.listening.addCallback(ports.append)
    StandardIO(Console())
    print(*(port.getHost().port for port in ports), flush=True)
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1:])

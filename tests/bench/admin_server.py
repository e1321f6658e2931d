"""A guarded echo with its admin pages, in a process of its own: ``admin_server.py``.

It prints the ports of both, then answers each line on standard input with the milliseconds of CPU time of the longest
answer since the line before: for so long, nobody else was served.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from options import GENEROUS
from twisted.internet import epollreactor

epollreactor.install()

from twisted.internet import reactor as _reactor  # noqa: E402
from twisted.internet.protocol import Factory, Protocol  # noqa: E402
from twisted.internet.stdio import StandardIO  # noqa: E402
from twisted.logger import globalLogBeginner  # noqa: E402
from twisted.protocols.wire import Echo  # noqa: E402

from netguard.admin.about import About  # noqa: E402
from netguard.admin.access import Access  # noqa: E402
from netguard.admin.asked import Answer, Asked  # noqa: E402
from netguard.admin.pages import Pages  # noqa: E402
from netguard.guarded_endpoints import announce  # noqa: E402
from netguard.policy import Policy  # noqa: E402

reactor: Any = _reactor


class Console(Protocol):
    """Answers what the benchmark asks for.

    Args:
        site: the pages, whose answers are timed from now on.
    """

    def __init__(self, site: Any) -> None:
        self._longest = 0.0
        for methods in site.pages.values():
            for name, page in methods.items():
                methods[name] = self._timed(page)

    def _timed(self, page: Callable[[Asked], Answer]) -> Callable[[Asked], Answer]:
        def timed(asked: Asked) -> Answer:
            began = time.thread_time()
            answer = page(asked)
            self._longest = max(self._longest, time.thread_time() - began)
            return answer

        return timed

    def dataReceived(self, data: bytes) -> None:
        """Answer."""
        for _ in data.decode().split():
            print(self._longest * 1000, flush=True)
            self._longest = 0.0

    def connectionLost(self, reason: object = None) -> None:
        """The benchmark is over."""
        reactor.stop()


def main() -> None:
    """Serve until standard input ends."""
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False)
    policy = Policy.from_options(GENEROUS)
    served = policy.wrap(Factory.forProtocol(Echo), reactor, verbose=False)
    port: Any = announce(reactor.listenTCP(0, served, interface="127.0.0.1", backlog=4096), served)
    guards = tuple(type(each).__name__ for each in policy.guards)
    pages = Pages(served.service, About("bench", guards=guards, options=policy.options()), Access(), reactor)
    pages.startService()
    admin = reactor.listenTCP(0, pages.factory, interface="127.0.0.1")
    StandardIO(Console(pages.factory.wrapped))
    print(port.getHost().port, admin.getHost().port, flush=True)
    reactor.run()


if __name__ == "__main__":
    main()

"""Reading a service's files again while it runs: certificates, rules, and whatever else it knows to be looked at."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import Cooperator
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from netguard.plugins.concerns import Given, join
from netguard.process.signals import on_signal

if TYPE_CHECKING:
    from netguard.service import Service as House

PARAMETERS: list[list[Any]] = []
FLAGS: list[list[Any]] = [
    ["reload-cuts", None, "after a reload, cut connections that the access rules would not let in any more"],
]

_Service: Any = Service  # it is not annotated
_log = Logger(namespace="netguard")


def check(_given: Given) -> None:
    """There is nothing to check."""


def equip(service: Any, house: House, given: Given) -> None:
    """Let SIGHUP have files read again."""
    from twisted.internet import reactor

    if given.reloads:
        house.offers["reload"] = reloading = Reloading(house, given.looks, reactor, cuts=bool(given["reload-cuts"]))
        join(service, reloading)


class Reloading(_Service):  # type: ignore[misc]
    """Reads the files of a service again whenever the process gets SIGHUP, which would end it otherwise.

    Args:
        house: what reads most of them, and tells what came of it: ``reloaded`` or ``reload_failed``.
        checks: each looks at another file, in a thread, and raises what is wrong with it.
        reactor: the reactor.
        cuts: whether connections are cut that the rules of now would not let in; they stay otherwise.
    """

    def __init__(
        self, house: House, checks: Sequence[Callable[[], object]], reactor: Any, *, cuts: bool = False
    ) -> None:
        self._house = house
        self._cuts = cuts
        self._checks = tuple(checks)
        self._reactor = reactor
        self._under_way: Deferred[None] | None = None
        self._again = self._broken = False
        self._companions: list[tuple[Callable[[], object], Callable[[bool], object]]] = []

    def when_reloading(self, begun: Callable[[], object], done: Callable[[bool], object]) -> None:
        """Tell somebody of each reload.

        Args:
            begun: called when it begins.
            done: called with whether all could be used, when it is over.
        """
        self._companions.append((begun, done))

    def startService(self) -> None:
        """Listen to the signal."""
        super().startService()
        self._end = on_signal(signal.SIGHUP, self.reload, self._reactor)

    def stopService(self) -> Any:
        """Listen no more; what is under way ends first."""
        super().stopService()
        self._end()
        self._again = False
        return self._under_way

    def reload(self) -> Deferred[list[str]]:
        """Read the files again; when that is under way, once more after it, since they may have changed meanwhile.

        Returns:
            What could not be used, once all is done.
        """
        self._again = True
        under_way = self._under_way
        if under_way is None:
            under_way = Deferred.fromCoroutine(self._reload())
            self._under_way = None if under_way.called else under_way  # it may have failed at once
        asked: Deferred[list[str]] = Deferred()

        def tell(result: Any) -> Any:
            if not asked.called:  # whoever asked may have gone
                asked.callback(["it failed; the log says how"] if self._broken else self._house.troubles)
            return result

        under_way.addCallback(tell)
        return asked

    async def _reload(self) -> None:
        self._broken = False
        try:
            while self._again:
                self._again = False
                await self._reload_once()
        except Exception:  # noqa: BLE001 - the next reload may go well
            _log.failure("netguard: a reload has failed")
            self._broken = True
        finally:
            self._under_way = None

    async def _reload_once(self) -> None:
        good = False
        for begun, _ in self._companions:
            begun()
        try:
            good = self._house.reload(*await deferToThread(self._look))
        finally:
            for _, done in self._companions:
                done(good)
        if self._cuts:
            await Cooperator(scheduler=self._soon).cooperate(self._review()).whenDone()

    def _review(self) -> Iterator[None]:
        """Begin to judge those who are in, some in each turn of the reactor; names may take their time."""
        for awaited in self._house.review():
            Deferred.fromCoroutine(_whole(awaited)).addErrback(
                lambda why: _log.failure("netguard: a connection cannot be judged again", why)
            )
            yield

    def _soon(self, do: Callable[[], object]) -> Any:
        return self._reactor.callLater(0, do)

    def _look(self) -> list[Exception]:
        troubles = []
        for check in self._checks:
            try:
                check()
            except Exception as why:  # noqa: BLE001 - whatever is wrong with a file, the service goes on
                troubles.append(why)
        return troubles


async def _whole(awaited: Awaitable[object]) -> object:
    return await awaited

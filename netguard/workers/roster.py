"""The places of all workers, and what can be asked of those who fill them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.threads import blockingCallFromThread

from netguard.process.commands import ControlError
from netguard.workers.asking import WITHIN
from netguard.workers.steering import worker_of

if TYPE_CHECKING:
    from netguard.units import Prefix
    from netguard.workers.place import Place


SOON = 2.0
"""Seconds in which figures have to come for a status that somebody waits for; else those of before are told."""


class Roster:
    """The places.

    Args:
        reactor: the reactor.
        workers: how many there will be.
        prefix: how many bits of an address make one peer.

    Attributes:
        places: they, in their order.
        limits: what was set while the service runs, by option: for those who begin later.
    """

    def __init__(self, reactor: Any, workers: int, prefix: Prefix) -> None:
        self.reactor = reactor
        self.workers = workers
        self.prefix = prefix
        self.places: list[Place] = []
        self.limits: dict[str, str] = {}

    def collect(self) -> Deferred[Any]:
        """Ask every worker for its figures.

        Returns:
            What fires when they have answered, or have not within :data:`SOON`.
        """
        return DeferredList([each.tell_figures(SOON) for each in self.places if each.serves])

    def ask_all(self, command: str, within: float = WITHIN) -> Deferred[list[tuple[bool, Any]]]:
        """Give a command to every worker that serves.

        Args:
            command: the line.
            within: seconds in which each has to answer.

        Returns:
            Fires with pairs: whether it could be carried out, and the answer or the failure.
        """
        asked = [each.ask(command, within) for each in self.places if each.serves]
        return DeferredList(asked, consumeErrors=True)

    async def gather(self, command: str, within: float = WITHIN) -> tuple[list[Any], list[str]]:
        """Give a command to every worker that serves.

        Args:
            command: the line.
            within: seconds in which each has to answer.

        Returns:
            The answers, and why others have not answered so.
        """
        told = await self.ask_all(command, within)
        return [answer for good, answer in told if good], [str(why.value) for good, why in told if not good]

    def owner(self, session: int) -> int:
        """The place, from 0, of the worker whose session it is: each counts in steps of how many there are."""
        return (session - 1) % self.workers

    def expel(self, session: int) -> Deferred[Any]:
        """Have a connection cut.

        Args:
            session: its number.

        Returns:
            Fires when that is done, or fails with ControlError.

        Raises:
            ControlError: whose it would be does not serve now.
        """
        return self.serving(self.owner(session)).ask(f"cut {session}")

    def place_of(self, host: str) -> Place:
        """Where the connections of a peer come to.

        Args:
            host: its address.

        Raises:
            ControlError: no worker serves there now.
        """
        return self.serving(worker_of(host, self.workers, self.prefix))

    def serving(self, at: int) -> Place:
        """A place at which somebody serves.

        Args:
            at: which, from 0.

        Raises:
            ControlError: nobody does.
        """
        if at >= len(self.places) or not self.places[at].serves:
            raise ControlError(f"worker {at + 1} does not serve at the moment")
        return self.places[at]

    def first_serving(self) -> Place:
        """Any place at which somebody serves.

        Raises:
            ControlError: nobody does.
        """
        return next((each for each in self.places if each.serves), None) or self.serving(0)

    def reload(self) -> None:
        """Have every worker read its files again, and wait for that; in a thread that is not the reactor's.

        Raises:
            ControlError: one of them cannot use something.
        """
        asked: Any = self.ask_all
        answers: list[tuple[bool, Any]] = blockingCallFromThread(self.reactor, asked, "reload")
        troubles = [str(why.value) for good, why in answers if not good]
        if troubles:
            raise ControlError("; ".join(dict.fromkeys(troubles)))

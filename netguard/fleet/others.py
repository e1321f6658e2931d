"""What one machine knows of the others: how far it has read, when it last heard of each, and whom it has given up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from attrs import define

from netguard.fleet.entries import Entry, Parts
from netguard.fleet.ledger import AT_ONCE, MACHINES, Answer

if TYPE_CHECKING:
    from netguard.elsewhere.tally import Tally

_LONGEST_NAME = 32


@define
class Machine:
    """Another machine.

    Attributes:
        heard: when it last said something, by our clock.
        position: how far its news were read; None before its state was learned.
        number: that of the last news.
        asked: how often its state was asked for.
    """

    heard: float
    position: str | None = None
    number: int = 0
    asked: int = 0


class Others:
    """The other machines. Only what they say moves anything here; what they say wrong is passed over, and counted.

    Args:
        tallies: the tallies of here, by their flags.
        lease: seconds of silence after which a machine is given up.

    Attributes:
        machines: by their names.
        unread: how many of their entries could not be understood, such as those of a later version.
    """

    def __init__(self, tallies: Callable[[], Mapping[str, Tally]], lease: float) -> None:
        self.machines: dict[str, Machine] = {}
        self.unread = 0
        self._tallies = tallies
        self._lease = lease
        self._gone: list[str] = []

    @property
    def follow(self) -> dict[str, str]:
        """Whose news are to be read, and from where."""
        return {name: each.position for name, each in self.machines.items() if each.position is not None}

    def learn(self) -> list[str]:
        """Whose states are to be read next: those that were asked for least often."""
        new = [name for name, each in self.machines.items() if each.position is None]
        chosen = sorted(new, key=lambda name: self.machines[name].asked)[:AT_ONCE]
        for name in chosen:
            self.machines[name].asked += 1
        return chosen

    def gone(self) -> list[str]:
        """Who was given up since this was last asked."""
        gone, self._gone = self._gone, []
        return gone

    def begin_anew(self) -> None:
        """Learn everybody's state again: there is a tally that has not heard them."""
        for each in self.machines.values():
            each.position = None

    def expire(self, now: float) -> None:
        """Give up whoever has been silent for too long."""
        for name, each in list(self.machines.items()):
            if now - each.heard >= self._lease:
                self._forget(name)
                self._gone.append(name)

    def _forget(self, name: str) -> None:
        del self.machines[name]
        for tally in self._tallies().values():
            tally.forget(name)

    def hear(self, answer: Answer, now: float, me: str) -> None:
        """Take what the ledger has answered.

        Args:
            answer: that.
            now: the moment.
            me: who has asked.
        """
        for name, octets in answer.states.items():
            if name in self.machines:
                self._learn(name, octets, now)
        for name, entries in answer.news.items():
            for position, octets in entries:
                if name not in self.machines or not self._hear(name, position, octets, now):
                    break
        for name in answer.machines:
            if name != me and name not in self.machines and len(self.machines) < MACHINES and _is_name(name):
                self.machines[name] = Machine(now)

    def _learn(self, name: str, octets: bytes, now: float) -> None:
        machine, state = self.machines[name], Entry.state_of(octets)
        machine.heard = now
        if state is None:
            self.unread += 1
            return
        machine.position, machine.number = state.after, state.number
        for flag, tally in self._tallies().items():
            tally.learn(name, state.parts.get(flag, {}))

    def _hear(self, name: str, position: str, octets: bytes, now: float) -> bool:
        """Take the next news of a machine; whether more of it can be taken now."""
        machine, news = self.machines[name], Entry.news_of(octets)
        if machine.position is None:
            return False
        machine.heard = now
        if news is None or news.number != machine.number + 1:
            self.unread += news is None
            machine.position = None  # something is missing: its state has to be learned again
            return False
        machine.position, machine.number = position, news.number
        if news.leaving:
            self._forget(name)
            return False
        self._tell(name, news.parts)
        return True

    def _tell(self, name: str, parts: Parts) -> None:
        for flag, tally in self._tallies().items():
            if flag in parts:
                tally.hear(name, parts[flag])


def _is_name(name: str) -> bool:
    return 0 < len(name) <= _LONGEST_NAME and name.isascii() and name.isalnum()

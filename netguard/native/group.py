"""One reader of the reactor for the connections of a port: an epoll descriptor of ours, below the reactor's own.

For every event a reactor finds out whose it is, sets up the context of the log, asks for the descriptor, and looks what
became of it. Here that is done for many events in one turn, with only what each of them needs. What a connection, its
application and the log can see of it is what Twisted's reactors do.

What the applications answer in a turn leaves together, as it does where a reactor asks all sockets first whether they
take something: a peer that waits for answers is woken up once for many of them.

The group is what its connections have for their reactor; it does what concerns their descriptors, and the reactor
all else. A connection that is asked for its descriptor leaves it, since whoever asks is about to speak to the reactor
itself (:meth:`netguard.native.prompt.PromptServer.fileno`).
"""

from __future__ import annotations

import select
from typing import Any

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.posixbase import _DisconnectSelectableMixin
from twisted.python import context, log
from zope.interface import directlyProvides, providedBy

from netguard.native.log_context import name_of
from netguard.native.member import Member, number_of
from netguard.native.patience import Patience, is_allowed

MOST = 256
"""So many connections are served in one turn of the reactor, before others have theirs."""

TOGETHER = 32
"""So many answers leave together; more would wait for those whose applications take their time."""

MANY = 24
"""Where so many are served at once, it is looked again in the same turn in any case: there will be more."""

_Disconnects: Any = _DisconnectSelectableMixin  # not annotated
_IN, _OUT, _ENDED = select.POLLIN, select.POLLOUT, select.POLLHUP | select.POLLERR  # epoll has the same
_BOTH = _IN | _OUT


class Group(_Disconnects):  # type: ignore[misc]
    """Watches descriptors for a reactor, as one of its readers.

    Args:
        reactor: who watches the group; one that watches descriptors.
        patience: whether to wait awake for what comes next.

    Attributes:
        patience: the same.

    Raises:
        OSError: there can be no such descriptor, or the reactor cannot watch it.
    """

    def __init__(self, reactor: Any, patience: Patience | None = None) -> None:
        self.reactor = reactor
        self._reads: dict[int, Any] = {}
        self._writes: dict[int, Any] = {}
        self._left: set[int] = set()
        self._serving = False
        self._open = True
        self.patience = patience or Patience(may=False)
        self._poll = select.epoll()
        self.fileno = self._poll.fileno
        directlyProvides(self, providedBy(reactor), IReadDescriptor)
        reactor.addReader(self)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the reactor's."""
        if name == "reactor":
            raise AttributeError(name)
        return getattr(self.reactor, name)

    def close(self) -> None:
        """Nobody comes any more: leave the reactor with the last of those who are in."""
        self._open = False
        self._rest()

    def _rest(self) -> None:
        if not (self._open or self._reads or self._writes):
            self.reactor.removeReader(self)

    # for the reactor

    def logPrefix(self) -> str:
        """What stands in the log for what is nobody's."""
        return "-"

    def doRead(self) -> None:
        """Serve those for whom something has come, and where it pays, wait awake for who comes next."""
        poll, patience = self._poll.poll, self.patience
        waits = patience.begins()
        served = count = self._serve_all(poll(0, MOST))
        patience.served()
        while (waits or count >= MANY) and count and served < MOST and patience.lasts(self._others_wait):
            count = self._serve_all(patience.wait(poll, MOST - served) if waits else poll(0, MOST - served))
            if count:
                served += count
                patience.served()

    def _others_wait(self) -> bool:
        """Whether the reactor has something to do for others; where it cannot be asked, it may have."""
        poller = getattr(self.reactor, "_poller", None)
        if not isinstance(poller, select.epoll):
            return True
        return any(number != self.fileno() for number, _ in poller.poll(0, 2))

    def _serve_all(self, ready: list[tuple[int, int]]) -> int:
        """Serve those for whom something has come, each in its own context of the log; how many they were."""
        if not ready:
            return 0
        contexts = context.theContextTracker.currentContext().contexts
        nested, self._serving = self._serving, True
        contexts.append(contexts[-1])
        try:
            self._serve_each(ready, contexts)
        finally:
            contexts.pop()
            self._serving = nested
            if not nested:
                self._left.clear()
        return len(ready)

    def _serve_each(self, ready: list[tuple[int, int]], contexts: list[dict[Any, Any]]) -> None:
        around, outside = contexts[-1], context.get(log.ILogContext)
        left, reads = self._left, self._reads
        answered: list[tuple[Any, dict[Any, Any]]] = []
        for number, event in ready:
            member = reads.get(number)
            if member is not None and member.moves and event & _BOTH == _IN:
                contexts[-1] = around  # no application has to be able to log under its name
                try:
                    why = member.doRead()
                except BaseException as raised:  # noqa: BLE001 - as Twisted does
                    log.err()
                    why = raised
                if why:
                    self._end(member, why, reading=True)
            elif number in left:  # whoever has its number by now, this is not about him
                continue
            else:
                member = self._serve(member, number, event, contexts, outside)
            if member is not None and member._wanted:  # noqa: SLF001 - of our own family
                answered.append((member, contexts[-1]))
                if len(answered) == TOGETHER:
                    self._send(answered, contexts)
        self._send(answered, contexts)

    def _serve(self, member: Any, number: int, event: int, contexts: list[dict[Any, Any]], outside: Any) -> Any:
        """Do what Twisted's reactors do about an event, but that they ask for the descriptor; whose event it was."""
        if member is None:  # perhaps it has been paused since
            member, event = self._writes.get(number), event & ~_IN
        if member is None or not event:
            return None
        own = outside.copy()
        own["system"] = member.logstr or name_of(member)
        contexts[-1] = {log.ILogContext: own}
        why: Any = None
        reading = False
        inside, member._inside = member._inside, True  # noqa: SLF001 - of our own family
        if event & _ENDED and not event & _IN:
            reading = number in self._reads
            why = CONNECTION_DONE if reading else CONNECTION_LOST
        else:
            try:
                if event & _IN:
                    why = member.doRead()
                    reading = True
                if not why and event & _OUT:
                    why = member.doWrite()
                    reading = False
            except BaseException as raised:  # noqa: BLE001 - as Twisted does
                why, reading = raised, False
                log.err()
        member._inside = inside  # noqa: SLF001
        if why:
            self._end(member, why, reading=reading)
        return member

    def _end(self, member: Any, why: Any, *, reading: bool) -> None:
        try:
            self._disconnectSelectable(member, why, reading)
        except BaseException:  # noqa: BLE001 - its application's: not the end of the others
            log.err()

    def _send(self, answered: list[tuple[Any, dict[Any, Any]]], contexts: list[dict[Any, Any]]) -> None:
        """Send what they have written, each in its own context of the log."""
        for member, contexts[-1] in answered:
            try:
                member.send_now()
            except BaseException as raised:  # noqa: BLE001 - as Twisted does
                log.err()
                self._end(member, raised, reading=False)
        answered.clear()

    def connectionLost(self, reason: Any) -> None:
        """The reactor ends all that it watches: all of these."""
        members = {*self._reads.values(), *self._writes.values()}
        for each in members:
            self.removeReader(each)
            self.removeWriter(each)
        for each in members:
            log.callWithLogger(each, each.connectionLost, reason)

    # for its connections

    def addReader(self, member: Any) -> None:
        """Tell it when something can be read."""
        if not isinstance(member, Member):
            self.reactor.addReader(member)
            return
        self._add(member, _IN, self._reads, self._writes)

    def addWriter(self, member: Any) -> None:
        """Tell it when something can be written."""
        if not isinstance(member, Member):
            self.reactor.addWriter(member)
            return
        self._add(member, _OUT, self._writes, self._reads)

    def removeReader(self, member: Any) -> None:
        """Tell it no more when something can be read."""
        if not isinstance(member, Member):
            self.reactor.removeReader(member)
            return
        self._remove(member, _OUT, self._reads, self._writes)

    def removeWriter(self, member: Any) -> None:
        """Tell it no more when something can be written."""
        if not isinstance(member, Member):
            self.reactor.removeWriter(member)
            return
        self._remove(member, _IN, self._writes, self._reads)

    def dismiss(self, member: Any) -> None:
        """Leave it to the reactor, for good."""
        number = number_of(member)
        reads, writes = (ways.get(number) is member for ways in (self._reads, self._writes))
        self.removeReader(member)
        self.removeWriter(member)
        member.reactor = self.reactor
        if reads:
            self.reactor.addReader(member)
        if writes:
            self.reactor.addWriter(member)

    def _add(self, member: Any, event: int, ways: dict[int, Any], others: dict[int, Any]) -> None:
        number = number_of(member)
        if ways.get(number) is member:
            return
        if others.get(number) is member:
            self._poll.modify(number, _BOTH)
        else:
            others.pop(number, None)  # of somebody whose socket was closed without a word to anybody
            self._poll.register(number, event)
        ways[number] = member
        if not self._open:
            self.reactor.addReader(self)

    def _remove(self, member: Any, left: int, ways: dict[int, Any], others: dict[int, Any]) -> None:
        number = number_of(member)
        if number < 0:  # its socket was closed, or taken away, without a word to us
            number = next((each for each, one in ways.items() if one is member), number)
        if ways.get(number) is not member:
            return
        if others.get(number) is member:
            self._poll.modify(number, left)
            del ways[number]
            return
        try:  # noqa: SIM105 - suppress() takes three calls more
            self._poll.unregister(number)
        except OSError:  # the kernel knows no more of what was closed
            pass
        del ways[number]
        if self._serving:
            self._left.add(number)
        self._rest()


def group_for(reactor: Any) -> Any:
    """Who watches the connections of a port: a group of their own, where that can be.

    Args:
        reactor: the real one.

    Returns:
        A group, which is to be closed with the port; or the reactor itself.
    """
    if hasattr(select, "epoll") and IReactorFDSet.providedBy(reactor):
        try:
            return Group(reactor, Patience(may=is_allowed()))
        except OSError:  # descriptors are short
            pass
    return reactor

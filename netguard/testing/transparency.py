"""The conformance check of a guard: with generous limits, nothing can be told from the bare application.

A *script* is data: a sequence of steps, each a tuple of a name and what it needs. It is played twice, once with the
bare factory and once with the guarded one, and everything that the application and the peer could see has to be equal.

========================= =============================================================================================
step                      what happens
========================= =============================================================================================
``("feed", data)``        the peer sends, in one piece; ``("feed", data, n)`` in pieces of n bytes
``("finish",)``           the peer closes its direction
``("vanish",)``           the peer resets the connection
``("takes", n)``          the peer takes n bytes more and then none; None for all
``("advance", seconds)``  time passes
``("write", data)``       the application writes; ``("writes", [data, ...])`` a sequence
``("pause",)``            it pauses the reading; ``("resume",)``
``("half-close",)``       it closes its direction, once all is written
``("close",)``            it closes, once all is written
``("abort",)``            it aborts
``("push", n, data)``     it registers a producer that writes that when it is resumed, n times; ``("pull", n, data)``
                          one that has to be asked, and takes itself away then; ``("unregister",)`` takes it away
``("tls",)``              it starts TLS
``("raise",)``            it raises (of use in a reaction only)
``("on", call, *step)``   it does that step, once, in its next ``made``, ``data``, ``lost``, ``read lost`` or
                          ``write lost``; those that stand first in a script hold from before the connection
========================= =============================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from typing import Any

from attrs import define
from twisted.internet.interfaces import IConsumer, ISSLTransport, ITLSTransport, ITransport
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock

from netguard.factory import TICK
from netguard.guard import Guard
from netguard.policy import Policy
from netguard.testing.applications import Application, HalfCloseable
from netguard.testing.dialogue import HOST, PEER
from netguard.testing.memory import MemoryTransport
from netguard.testing.native import NativeMemoryTransport

Step = tuple[Any, ...]
Script = Sequence[Step]

MANY = b"x" * 70_000
"""More than a transport buffers before it pauses a producer."""

SCRIPTS: tuple[Script, ...] = (
    (("feed", b"hello"), ("write", b"world"), ("close",)),
    (("feed", b"a\r\nb\r\n", 1), ("writes", [b"1", b"2"]), ("finish",), ("write", b"3"), ("close",)),
    (("on", "made", "write", b"greeting"), ("feed", b"x"), ("vanish",)),
    (("on", "made", "close"), ("feed", b"late")),
    (("on", "made", "abort"), ("feed", b"late")),
    (("on", "data", "close"), ("feed", b"one"), ("feed", b"two")),
    (("on", "data", "abort"), ("on", "lost", "write", b"too late"), ("feed", b"one"), ("feed", b"two")),
    (("on", "data", "raise"), ("feed", b"one"), ("feed", b"two")),
    (("on", "lost", "raise"), ("feed", b"one"), ("finish",), ("vanish",)),
    (("pause",), ("feed", b"held"), ("advance", 60.0), ("resume",), ("feed", b"free"), ("resume",), ("close",)),
    (("takes", 3), ("write", b"abcdef"), ("advance", 5.0), ("close",), ("advance", 5.0), ("takes", None)),
    (("takes", 0), ("write", MANY), ("abort",), ("advance", 1.0)),
    (("takes", 3), ("write", b"abcdef"), ("half-close",), ("takes", None), ("feed", b"more"), ("finish",), ("close",)),
    (("push", 3, MANY), ("takes", 0), ("write", MANY), ("takes", None), ("close",), ("unregister",)),
    (("pull", 3, b"part"), ("advance", 1.0), ("close",)),
    (("takes", 0), ("pull", 2, MANY), ("pull", 1, b"second"), ("vanish",)),
    (("tls",), ("feed", b"secret"), ("write", b"answer"), ("close",)),
    (("feed", b""), ("write", b""), ("finish",), ("finish",), ("vanish",)),
)
"""Enough for a guard's first test. With hypothesis, more can be made up from the same steps."""


CARRIERS = (MemoryTransport, NativeMemoryTransport)
"""The two kinds of transport that a guard may meet: Twisted's, with a wrapper above it, and our own."""


class _ToldError(Exception):
    """What a script lets the application raise."""


@define(eq=False)
class _Producer:
    """Writes when it is resumed, so many times; one that has to be asked takes itself away then."""

    player: _Player
    times: int
    data: bytes
    streaming: bool

    def resumeProducing(self) -> None:
        """Write."""
        self.player.application.calls.append(("resumed",))
        if self.times:
            self.times -= 1
            self.player.on_transport("write", self.data)
        if not (self.times or self.streaming):
            self.player.on_transport("unregisterProducer")

    def pauseProducing(self) -> None:
        """Remember it."""
        self.player.application.calls.append(("paused",))

    def stopProducing(self) -> None:
        """Remember it."""
        self.player.application.calls.append(("stopped",))


class _Player:
    """Plays one script with one factory.

    Args:
        application: the application's protocol.
        wrap: puts the guards around a factory.
        carrier: the class of the transport.
    """

    def __init__(self, application: Application, wrap: Callable[[Any, Clock], Any], carrier: Any) -> None:
        self.carrier = carrier
        self.clock = Clock()
        self.application = application
        factory: Any = Factory()
        factory.protocol = lambda: application
        self.factory = wrap(factory, self.clock)
        self.raised: list[type[BaseException]] = []
        self.transport: Any = None

    def play(self, script: Script) -> dict[str, Any]:
        """Play, and say what could be seen."""
        first = next((at for at, step in enumerate(script) if step[0] != "on"), len(script))
        for step in script[:first]:
            self.step(*step)
        built = self.carrier.admit(self.factory, PEER)
        self.transport = transport = self.carrier(self.clock, built, PEER, HOST)
        self.attempt(built.makeConnection, transport)
        self.attempt(self.clock.advance, 0)
        for step in script[first:]:
            self.step(*step)
            self.attempt(self.clock.advance, 0)
        ours = self.application.transport
        return {
            "application": list(_merged(self.application.calls, "data")),
            "transport": transport.changes,
            "raised": self.raised,
            "state": (bool(transport.connected), bool(transport.disconnecting), transport.reading, transport.finished),
            "seen": [bool(getattr(ours, name)) for name in ("connected", "disconnecting", "disconnected")],
            "provided": [each.providedBy(ours) for each in (ITransport, IConsumer, ITLSTransport, ISSLTransport)],
        }

    def attempt(self, call: Callable[..., object], *arguments: Any) -> None:
        """Do something; what it raises could be seen, too."""
        try:
            call(*arguments)
        except Exception as what:  # noqa: BLE001 - to compare
            self.raised.append(type(what))

    def step(self, name: str, *about: Any) -> None:
        """Do one step."""
        if name == "on":
            call, *then = about
            self.application.reactions[call] = lambda: self.react(*then)
        elif name == "feed":
            self.attempt(self.feed, *about)
        elif name == "advance":
            for _ in range(int(about[0] / TICK)):
                self.attempt(self.clock.advance, TICK)
        elif name in {"finish", "vanish", "takes"}:
            self.attempt(getattr(self.transport, name), *about)
        else:
            self.attempt(self.react, name, *about)

    def feed(self, data: bytes, size: int = 0) -> None:
        """The peer sends."""
        for at in range(0, len(data), size or len(data) or 1):
            self.transport.deliver(data[at : at + size] if size else data)
            self.clock.advance(0)

    def react(self, name: str, *about: Any) -> None:
        """The application does something."""
        if name == "raise":
            raise _ToldError
        if name in {"push", "pull"}:
            self.on_transport("registerProducer", _Producer(self, about[0], about[1], name == "push"), name == "push")
        else:
            self.on_transport(*_VERBS[name], *about)

    def on_transport(self, name: str, *about: Any) -> None:
        """Call the application's transport."""
        getattr(self.application.transport, name)(*about)


_VERBS: dict[str, tuple[Any, ...]] = {
    "write": ("write",),
    "writes": ("writeSequence",),
    "pause": ("pauseProducing",),
    "resume": ("resumeProducing",),
    "half-close": ("loseWriteConnection",),
    "close": ("loseConnection",),
    "abort": ("abortConnection",),
    "unregister": ("unregisterProducer",),
    "tls": ("startTLS", None),
}


def _merged(calls: Iterable[Step], name: str) -> Iterator[Step]:
    """The calls, those next to each other that bring bytes as one: where a stream is cut is no promise."""
    before: Step | None = None
    for each in calls:
        if before is not None and before[0] == each[0] == name:
            before = (name, before[1] + each[1])
            continue
        if before is not None:
            yield before
        before = each
    if before is not None:
        yield before


def _comparable(seen: Any) -> Any:
    """Producers are other objects in each play."""
    if isinstance(seen, _Producer):
        return (seen.data, seen.streaming)
    if isinstance(seen, tuple | list):
        return [_comparable(each) for each in seen]
    return seen


def differences(guards: Guard | Policy, script: Script, carrier: Any = MemoryTransport) -> list[str]:
    """What can be told from the bare application when a script is played behind guards.

    Args:
        guards: a guard or a policy, with limits that the script does not reach.
        script: the steps.
        carrier: the class of the guarded connection's transport; see :func:`netguard.testing.connect`.

    Returns:
        One line for each difference; none for a guard that is transparent.
    """
    policy = guards if isinstance(guards, Policy) else Policy(guards)
    found = []
    for kind in (Application, HalfCloseable):
        bare = _Player(kind(), lambda factory, _: factory, MemoryTransport).play(script)
        guarded = _Player(kind(), policy.wrap, carrier).play(script)
        for what, seen in bare.items():
            if _comparable(seen) != _comparable(guarded[what]):
                found.append(f"{kind.__name__}, {what}: bare {str(seen)[:400]}, guarded {str(guarded[what])[:400]}")
    return found


def check_transparent(
    guards: Guard | Policy, scripts: Iterable[Script] = SCRIPTS, carriers: Iterable[Any] = CARRIERS
) -> None:
    """Check that guards with generous limits change nothing that the application or the peer could see.

    Args:
        guards: a guard or a policy, with limits that the scripts do not reach.
        scripts: what to play; :data:`SCRIPTS` unless given.
        carriers: on which transports; on both kinds unless given.

    Raises:
        AssertionError: something differs; the text says what, and in which script.
    """
    for script, carrier in product(scripts, carriers):
        found = differences(guards, script, carrier)
        if found:
            lines = "\n".join(found)
            message = f"not transparent in {str(script)[:1000]} on {carrier.__name__}:\n{lines}"
            raise AssertionError(message)

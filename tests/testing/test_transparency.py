"""Tests for netguard.testing.transparency."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netguard.errors import Expelled
from netguard.guard import Guard, frozen
from netguard.guards.byte_limit import ByteLimit
from netguard.guards.idle_timeout import IdleTimeout
from netguard.policy import Policy, flags
from netguard.testing import SCRIPTS, NativeMemoryTransport, check_transparent, differences
from netguard.testing.transparency import MANY, Script

GENEROUS = {
    "duration": "24h",
    "size": "1GiB",
    "rate": "1GiB",
    "count": "1000000",
    "frequency": "1000000/s",
    "prefix": "32,64",
    "bytes": "\n",
}
SLOWEST = {"min-rate-in": "1", "min-rate-out": "1"}
ASKING = {"ident", "ident-within", "ident-port"}
EVERYTHING = Policy.from_options(
    {flag: SLOWEST.get(flag, GENEROUS.get(ones[0].unit.name)) for flag, ones in flags().items() if flag not in ASKING}
)

data = st.sampled_from([b"", b"x", b"one\r\ntwo", bytes(range(256)), MANY])
acts = st.one_of(
    st.tuples(st.just("write"), data),
    st.tuples(st.just("writes"), st.lists(data, max_size=3)),
    st.sampled_from([(each,) for each in ("pause", "resume", "half-close", "close", "abort", "unregister", "tls")]),
    st.tuples(st.sampled_from(["push", "pull"]), st.integers(1, 3), data),
)
reactions = st.tuples(
    st.just("on"),
    st.sampled_from(["made", "data", "lost", "read lost", "write lost"]),
    st.one_of(acts, st.just(("raise",))),
).map(lambda step: (step[0], step[1], *step[2]))
events = st.one_of(
    st.tuples(st.just("feed"), data),
    st.tuples(st.just("feed"), st.just(b"one\r\ntwo"), st.integers(1, 4)),
    st.sampled_from([("finish",), ("vanish",), ("advance", 1.0), ("takes", None), ("takes", 0), ("takes", 5)]),
)
scripts = st.lists(st.one_of(acts, events, reactions), max_size=12)


@settings(max_examples=300, deadline=None)
@given(script=scripts)
def test_every_guard_of_the_catalogue_is_transparent(script: Script) -> None:
    """Whatever is sent, written, paused, half-closed, closed or raised: with generous limits nobody can tell."""
    assert differences(EVERYTHING, script) == []


# Not a parameter of the test above: pytest-twisted wraps hypothesis' inner test once more for each.
@settings(max_examples=300, deadline=None)
@given(script=scripts)
def test_so_it_is_on_our_own_transport(script: Script) -> None:
    """Neither the guards can be told, nor the transport from Twisted's."""
    assert differences(EVERYTHING, script, NativeMemoryTransport) == []


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_the_scripts_find_no_difference_in_the_catalogue(script: Script) -> None:
    """The scripts that come with the kit hold for the guards that come with it."""
    check_transparent(EVERYTHING, [script])


@frozen
class Meddles(Guard):
    """A guard that is not transparent, in one way.

    Args:
        how: the way.
    """

    how: str = ""

    def open(self, connection: Any) -> None:
        """Meddle."""
        getattr(self, self.how)(connection)

    def cuts(self, connection: Any) -> None:
        """At the third byte."""
        connection.when_received(2, lambda c: c.cut(Expelled()))

    def pauses(self, connection: Any) -> None:
        """Once and for all."""
        connection.pause("Meddles")

    def holds(self, connection: Any) -> None:
        """For ever."""
        connection.pause("Meddles", "out")

    def delays(self, connection: Any) -> None:
        """For a minute."""
        connection.pause("Meddles", "out")
        connection.after(60, lambda c: c.resume("Meddles", "out"))

    def raises(self, connection: Any) -> None:
        """At each chunk."""
        connection.tap(lambda *_: 1 / 0)

    def writes(self, connection: Any) -> None:
        """Something of its own."""
        connection.when_received(0, lambda c: c.meter.transport.write(b"!"))

    def swaps(self, connection: Any) -> None:
        """Half of the chunks."""
        connection.when_received(0, lambda c: c.meter.protocol.dataReceived(b"twice"))


@pytest.mark.parametrize("how", ["cuts", "pauses", "holds", "delays", "raises", "writes", "swaps"])
def test_a_guard_that_meddles_is_found_out(how: str) -> None:
    """By the scripts that come with the kit; the text names what differs, and the script."""
    with pytest.raises(AssertionError, match=r"not transparent in .*\n.*: bare .*, guarded "):
        check_transparent(Meddles(how))


def test_a_limit_that_a_script_reaches_is_a_difference() -> None:
    """It is the author's part to give generous limits."""
    assert differences(ByteLimit(received=3), [("feed", b"abc")]) == []
    assert differences(ByteLimit(received=3), [("feed", b"abcd")]) != []


def test_a_guard_alone_may_be_checked() -> None:
    """A policy is not needed."""
    check_transparent(IdleTimeout("1h"))

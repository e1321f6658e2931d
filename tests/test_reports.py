"""Tests for netguard.reports."""

from __future__ import annotations

from typing import Any

import pytest
from OpenSSL import SSL
from twisted.internet.error import ConnectionDone
from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure

from netguard.errors import Expelled, Idle, TooManyConnections
from netguard.events import Event
from netguard.figures import Figures
from netguard.guards.lifetime import Lifetime
from netguard.peer import Known
from netguard.reports import Reports, claims, who, why
from netguard.testing import connect
from netguard.verdict import Mismatch, Timeout, Verified
from netguard.wire.ident import IdentError, NoReply, UserId, WhyNot


@pytest.fixture
def connection() -> Any:
    """A connection that lives."""
    return connect(Lifetime("1h")).connection


def told(logged: Any) -> list[dict[str, object]]:
    """What was told after the beginning, without what twisted.logger adds."""
    events = [each for each in logged.events if "session" in each and each["event"] not in ("accepted", "opened")]
    return [{**each["netguard"].fields, "event": each["event"]} for each in events]


def test_a_connection_is_named_by_its_peer() -> None:
    """Address, port and session; a word where there is no address."""
    from twisted.internet.address import IPv6Address, UNIXAddress

    for address, expected in (
        (IPv6Address("TCP", "::ffff:192.0.2.7", 7), {"client.address": "192.0.2.7", "client.port": 7}),
        (UNIXAddress("/x"), {"client.address": "unix"}),
        (None, {"client.address": "-"}),
    ):
        found: Any = connect(Lifetime("1h"), address=address).connection
        assert who(found) == {**expected, "session": found.number}


def test_a_reason_of_ours_says_what_would_have_to_change() -> None:
    """Guard, option, limit, what was observed, and a sentence; other reasons have the sentence alone."""
    assert why(Idle(5.0, 6.0)) == {
        "guard": "IdleTimeout",
        "option": "idle",
        "limit": "5s",
        "observed": "6s",
        "reason": str(Idle(5.0, 6.0)),
    }
    assert why(Expelled()) == {"reason": "ended by the service"}
    assert why(ZeroDivisionError()) == {"reason": "ZeroDivisionError"}
    assert why(SSL.Error([("SSL routines", "", "no shared cipher")])) == {"reason": "TLS failed: no shared cipher"}


@pytest.mark.parametrize(("said", "count"), [("wrong version number", 1), ("ssl/tls alert certificate unknown", 0)])
def test_what_is_no_tls_is_malformed(connection: Any, logged: Any, said: str, count: int) -> None:
    """Where TLS should begin, anything else is told as such; a client that does not trust us speaks TLS."""
    Reports(lambda: 0.0, Figures()).last(connection, Failure(SSL.Error([("SSL routines", "", said)])))
    problems = [each["problem"] for each in logged.named("malformed")]
    assert problems == ["no TLS came where TLS should begin"] * count
    assert logged.named("closed")[0]["reason"] == f"TLS failed: {said}"


def test_the_last_event_says_what_passed(connection: Any, logged: Any) -> None:
    """Closed by whatever the transport says, or by nothing at all."""
    reports = Reports(lambda: 0.0, Figures())
    reports.last(connection, Failure(ConnectionDone()))
    reports.last(connection, None)
    reports.last(connection, Failure(CONNECTION_DONE))
    first, second, third = told(logged)
    assert third["reason"] == first["reason"]
    assert first["event"] == second["event"] == "closed"
    assert first["reason"] == "Connection was closed cleanly."
    assert "reason" not in second
    assert {"duration", "bytes_in", "bytes_out"} <= first.keys()


def test_the_last_event_says_who_ended_it(connection: Any, logged: Any) -> None:
    """Cut or refused, whatever the transport says then."""
    reports = Reports(lambda: 0.0, Figures())
    connection.reason = Idle(5.0, 6.0)
    connection.state = "cut"
    reports.last(connection, Failure(ConnectionDone()))
    connection.reason = TooManyConnections(1, 2)
    connection.state = "refused"
    reports.last(connection, Failure(ConnectionDone()))
    cut, refused = told(logged)
    assert (cut["event"], cut["guard"]) == ("cut", "IdleTimeout")
    assert (refused["event"], refused["guard"], refused["count"]) == ("refused", "ConnectionLimit", 1)


def test_what_would_have_been_done_is_sampled_by_guard(connection: Any, logged: Any) -> None:
    """One guard's flood does not hide another's."""
    reports = Reports(lambda: 0.0, Figures())
    for _ in range(50):
        reports.tell(connection, "would_pause", guard="One", way="in")
    reports.tell(connection, "would_pause", guard="Two", way="out")
    reports.tell(connection, "would_cut", Idle(1.0, 2.0))
    events = told(logged)
    assert [each["guard"] for each in events] == ["One"] * 10 + ["Two", "IdleTimeout"]
    assert events[10]["way"] == "out"


def test_details_are_told_only_on_wish(connection: Any, logged: Any) -> None:
    """They are of level debug."""
    Reports(lambda: 0.0, Figures(), verbose=False).tell(connection, "opened")
    Reports(lambda: 0.0, Figures()).tell(connection, "opened")
    assert len(logged.named("opened")) == 2  # one of them by the connection itself


def test_who_was_turned_away_is_told_like_who_was_refused(logged: Any) -> None:
    """By the address as its socket has it; an IPv4-mapped one is an IPv4 address."""
    Reports(lambda: 0.0, Figures()).turned_away("::ffff:192.0.2.7", 7, 9, TooManyConnections(1, 2))
    (event,) = told(logged)
    assert event == {
        "event": "refused",
        "client.address": "192.0.2.7",
        "client.port": 7,
        "session": 9,
        "count": 1,
        **why(TooManyConnections(1, 2)),
    }


@pytest.mark.parametrize(
    ("verdict", "fields"),
    [
        (Verified("a.example"), {"client.name.verdict": "verified", "client.name": "a.example"}),
        (Mismatch(("a.example",)), {"client.name.verdict": "mismatch"}),
        (Timeout(), {"client.name.verdict": "timeout"}),
    ],
)
def test_a_name_is_told_if_it_was_verified(verdict: Any, fields: dict[str, str]) -> None:
    """Behind the address, and never in its place; of others, only what became of the look-up."""
    found: Any = connect(Lifetime("1h")).connection
    found.learn(name=verdict)
    told = who(found)
    assert {key: value for key, value in told.items() if key.startswith("client.name")} == fields
    assert next(iter(told)) == "client.address"


@pytest.mark.parametrize(
    ("reply", "fields"),
    [
        (UserId("UNIX", "US-ASCII", b"root"), {"client.ident": "claim", "client.ident.claim": b"root"}),
        (IdentError("HIDDEN-USER"), {"client.ident": "HIDDEN-USER"}),
        (NoReply(WhyNot.TIMEOUT), {"client.ident": "timeout"}),
    ],
)
def test_what_ident_says_is_told_as_a_claim_and_last(reply: Any, fields: dict[str, object], logged: Any) -> None:
    """In every event from there on; it is foreign text."""
    found: Any = connect(Lifetime("1h")).connection
    found.learn(ident=reply)
    reports = Reports(lambda: 0.0, Figures())
    reports.tell(found, "settled")
    reports.last(found, None)
    events = [each["netguard"].fields for name in ("settled", "closed") for each in logged.named(name)]
    assert [list(each.items())[-len(fields) :] for each in events] == [list(fields.items())] * 2
    assert claims(found.known) == fields


def test_foreign_text_from_ident_cannot_forge_a_line() -> None:
    """Nor end it, nor colour it."""
    user = UserId("UNIX", "US-ASCII", b'x" reason=fine \x1b[31m\xff')
    line = str(Event("closed", claims(Known(None, ident=user))))
    assert line == 'closed client.ident=claim client.ident.claim="x\' reason=fine \\x1b[31m\\xff"'

"""What is promised of reasons and errors: each says, by itself, what happened and what would have to change."""

from __future__ import annotations

import pytest
from twisted.internet.error import ConnectionAborted

from netguard import errors, units
from netguard.errors import ContradictoryOptions, OptionError, Reason, UnknownOption
from netguard.options import options_of
from netguard.policy import CATALOGUE
from netguard.units import Frequency

REASONS = [
    each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Reason) and each is not Reason
]
WITH_GUARD = [each for each in REASONS if each.guard]
OPTIONS = {one.flag: (guard, one) for guard in CATALOGUE for one in options_of(guard)}


@pytest.mark.parametrize("kind", REASONS)
def test_every_reason_is_what_twisted_applications_know(kind: type[Reason]) -> None:
    """Code that knows nothing of netguard treats it as an aborted connection."""
    assert issubclass(kind, ConnectionAborted)
    assert kind.summary != Reason.summary
    assert kind.__doc__


NUMBERS = (units.duration, units.size, units.rate, units.count, units.frequency)


@pytest.mark.parametrize("kind", WITH_GUARD)
def test_a_reason_names_a_guard_and_an_option_that_exist(kind: type[Reason]) -> None:
    """And its numbers are in the unit of that option, where that is one of numbers."""
    guard, one = OPTIONS[kind.option]
    assert kind.guard == guard.__name__
    assert kind.unit is one.unit or one.unit not in NUMBERS


def test_every_guard_and_every_deciding_option_has_a_reason_of_its_own() -> None:
    """All but those that say how, and that cut nobody."""
    deciding = {one.flag for guard in CATALOGUE for one in options_of(guard) if not one.qualifies}
    named = {kind.option for kind in WITH_GUARD}
    assert deciding - named == {
        "rate-in",
        "rate-out",
        "refusal",
        "transport",
        "names-within",
        "dns",
        "dns-proxy",
        "ident",
    }


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (errors.Idle(30.0, 30.2), "the peer fell silent, observed 30.2s, limit 30s, option idle"),
        (
            errors.TooMuchReceived(1024, 1025),
            "the peer sent too much, observed 1025B, limit 1KiB, option max-in",
        ),
        (
            errors.ReceivingTooSlow(500, 1.0),
            "the peer sends too slowly, observed 1B/s, limit 500B/s, option min-rate-in",
        ),
        (
            errors.TooManyFromPeer(20, 21),
            "too many connections are open from this peer, observed 21, limit 20, option max-per-peer",
        ),
        (
            errors.ConnectingTooFast(Frequency(600, 60), Frequency(601, 60)),
            "connections come too fast, observed 601/min, limit 600/min, option connect-rate",
        ),
        (errors.Idle(limit=30.0), "the peer fell silent, limit 30s, option idle"),
        (errors.Draining(), "the service is shutting down"),
    ],
)
def test_a_reason_tells_what_happened_and_what_would_have_to_change(reason: Reason, text: str) -> None:
    """Summary, what was observed, the limit, the option: one line."""
    assert str(reason) == text


def test_a_reason_carries_its_numbers() -> None:
    """A log line can be built from the exception alone; what was observed is as exact as a clock of milliseconds."""
    reason = errors.Idle(30.0, 30.12345678)
    assert (reason.limit, reason.observed) == (30.0, 30.123)
    assert reason.args == (30.0, 30.123)


def test_who_is_penalised_is_told_for_how_long() -> None:
    """In the text, and as seconds."""
    reason = errors.Penalised(Frequency(10, 600), Frequency(11, 600), 41.98765)
    assert str(reason) == (
        "the peer has misbehaved too often, observed 11/10m, limit 10/10m, option penalty, for 41.988s more"
    )
    assert reason.left == 41.98765
    assert str(errors.Penalised()) == "the peer has misbehaved too often, option penalty"


def test_what_honest_peers_come_to_by_themselves_weighs_nothing() -> None:
    """And what a broken network can do weighs half of what nobody does by mistake."""
    weights = {kind.__name__: kind.weight for kind in REASONS}
    assert {name for name, weight in weights.items() if weight == errors.ORDINARY == 1} >= {
        "ItemTooLong",
        "TooMuchReceived",
    }
    assert {name for name, weight in weights.items() if weight == errors.SLIGHT == 0.5} == {
        *("NoFirstByte", "HandshakeTooSlow", "LoginTooSlow"),
        *("ReceivingTooSlow", "SendingTooSlow", "WriteStalled", "QueueTooLong"),
    }
    assert {"Idle", "LifetimeOver", "TooMuchSent", "Draining", "Expelled"} <= {
        name for name, weight in weights.items() if not weight
    }


def test_an_unknown_option_is_answered_with_the_nearest_known_one() -> None:
    """A typo finds its word."""
    error = UnknownOption("max-per-per", ["idle", "max-per-peer", "max-in"])
    assert str(error) == "unknown option 'max-per-per'; did you mean 'max-per-peer'?"
    assert (error.name, error.suggestion) == ("max-per-per", "max-per-peer")


def test_an_unknown_option_that_is_near_nothing_gets_no_advice() -> None:
    """Better none than a wrong one."""
    error = UnknownOption("zzz", ["idle"])
    assert str(error) == "unknown option 'zzz'"
    assert error.suggestion is None


def test_an_unknown_option_is_told_in_one_bounded_line() -> None:
    """Whatever was written there."""
    text = str(UnknownOption("a\n\x1b" * 10_000, ["idle"]))
    assert text.isprintable()
    assert len(text) < 300


@pytest.mark.parametrize("kind", [UnknownOption, ContradictoryOptions])
def test_every_wrong_option_is_one_kind_of_error(kind: type[Exception]) -> None:
    """One except clause is enough, and ValueError is what callers of constructors expect."""
    assert issubclass(kind, OptionError)
    assert issubclass(OptionError, ValueError)

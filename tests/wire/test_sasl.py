"""SASL: questions, and the one way to drive every mechanism."""

from __future__ import annotations

import pytest

from netguard.wire import sasl
from netguard.wire.sasl import Challenge, CheckCertificate, Success
from tests.ladder import Ladder


def test_one_acts_as_oneself_only() -> None:
    """An empty wish, and one's own name, are allowed; another's is not."""
    assert sasl.same("", "bob")
    assert sasl.same("bob", "bob")
    assert not sasl.same("alice", "bob")
    assert not sasl.same("Bob", "bob")


def test_who_answers_without_being_asked_is_told() -> None:
    """A step that is not due is a defect of the driver's, whatever the client did."""
    mechanism = Ladder()
    with pytest.raises(sasl.MechanismMisused, match="LADDER asked nothing"):
        mechanism.answer(None)
    assert mechanism.begin(b"ask") == CheckCertificate("bob")
    with pytest.raises(sasl.MechanismMisused, match="LADDER waits for no response"):
        mechanism.receive(b"up")
    assert mechanism.answer("bob") == Challenge(b"")
    assert mechanism.receive(b"top") == Success("bob")
    with pytest.raises(sasl.MechanismMisused):
        mechanism.receive(b"top")


def test_no_representation_shows_a_secret() -> None:
    """Questions are data, and data gets printed."""
    shown = repr(sasl.CheckPassword(b"bob", b"tanstaaf")) + repr(sasl.CheckToken("bob", "tanstaaf"))
    assert "tanstaaf" not in shown
    assert "bob" in shown
    assert set(sasl.QUESTIONS) == set(sasl.Question.__args__)

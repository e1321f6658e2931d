"""What is promised of the words of the log: each says how grave it is, what it means, and how it looks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from netguard.errors import Idle, TooManyFromPeer
from netguard.events import emit
from netguard.reports import why
from netguard.vocabulary import VOCABULARY

if TYPE_CHECKING:
    from netguard.errors import Reason


@pytest.mark.parametrize("name", VOCABULARY)
def test_every_word_has_a_level_a_meaning_and_an_example(name: str, logged: Any) -> None:
    """Its level is the level of its events, its meaning is one sentence, and its example can be emitted."""
    kind = VOCABULARY[name]
    emit(name, kind.example)
    (event,) = logged.named(name)
    assert event["log_level"] is kind.level
    assert kind.meaning.endswith(".")
    assert re.fullmatch(r"[a-z_]+", name)
    assert {key: event[key] for key in kind.example} == dict(kind.example)


@pytest.mark.parametrize("reason", [Idle(600.0, 600.25), TooManyFromPeer(20, 21)])
def test_the_examples_of_decisions_are_what_is_really_told(reason: Reason) -> None:
    """The words of the documentation are those that an operator will see."""
    examples = [kind.example for kind in VOCABULARY.values()]
    assert any(why(reason).items() <= example.items() for example in examples)


@pytest.mark.parametrize("name", ["refused", "cut", "closed", "would_refuse", "would_cut", "session", "malformed"])
def test_the_address_stands_first(name: str) -> None:
    """So that other programs find it before any text that a peer could choose."""
    assert next(iter(VOCABULARY[name].example)) == "client.address"

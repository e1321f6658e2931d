"""Gates that a newcomer has passed before there was a connection, and that it enters when there is one.

What is to be called later for all of them is said at once, which is how that costs least. Should somebody be stopped
on the way in, or have to wait there, it is taken back for the gates behind: only who has entered settles and leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import TYPE_CHECKING

from attrs import evolve

from netguard.stages import Gate, Opener

if TYPE_CHECKING:
    from netguard.connection import Connection
    from netguard.guard import Guard, Newcomer


class Entrances:
    """The first of a factory's openers, as far as they can decide without a connection.

    Args:
        questions: all of them, each with the guard that asks.

    Attributes:
        gates: those.
    """

    def __init__(self, questions: list[tuple[Guard, Opener]]) -> None:
        self.gates = _leading_gates(questions)
        self._late = [(gate, evolve(gate, why=_passed)) for gate in self.gates]
        self._entering = {id(gate.enter) for gate in self.gates}

    def put_off(self, connection: Connection, openers: list[Opener]) -> Iterator[Opener]:
        """Take back what was said for gates that have not been entered.

        Args:
            connection: whom it is about.
            openers: the guards that have not been asked yet, those that have only to be entered first.

        Returns:
            The same, each of which says for itself what is to be called later, when it is asked.
        """
        missed = sum(1 for _ in takewhile(lambda each: id(each) in self._entering, openers))
        if missed:
            whole = {id(each) for each in openers}
            passed = [late for gate, late in self._late if id(gate) not in whole and late.enter is not None]
            openers[:missed] = entered = passed[-missed:]
            connection.unhook([each.settle for each in entered], [each.leave for each in entered])
        return iter(openers)


def _passed(_: Newcomer) -> None:
    """Nobody decides twice."""


def _leading_gates(questions: list[tuple[Guard, Opener]]) -> list[Gate]:
    """Those before anyone who has to see each connection, be it for a guard that reports what it would have done."""
    found = []
    for guard, opener in questions:
        if guard.observe or not isinstance(opener, Gate):
            break
        found.append(opener)
    return found

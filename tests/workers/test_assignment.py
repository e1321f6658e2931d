"""What a worker is told."""

from __future__ import annotations

import os

import pytest

from netguard.workers.assignment import VARIABLE, Assignment, descriptors


def test_it_is_taken_once() -> None:
    """It is gone from the environment then, and programs that the worker starts inherit nothing."""
    numbers = [os.open(os.devnull, os.O_RDONLY) for _ in range(4)]
    for each in numbers:
        os.set_inheritable(each, True)
    lifeline, totals, *sockets = numbers
    given = Assignment(2, 4, 1_000_002, lifeline, totals, (("::1", 995, tuple(sockets)),), {"idle": "5m"})
    assert descriptors(given.sockets) == sockets
    environment = {VARIABLE: given.text, "HOME": "/"}
    assert Assignment.taken_from(environment) == given
    assert environment == {"HOME": "/"}
    assert Assignment.taken_from(environment) is None
    assert not any(map(os.get_inheritable, numbers))
    for each in numbers:
        os.close(each)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "[]",
        "{}",
        '{"sockets": []}',
        '{"sockets": [[1, 2]]}',
        '{"sockets": [["::1", 995, 5]]}',
        '{"number": 1, "workers": 2, "first": 1, "lifeline": 987654, "totals": 987654, "sockets": []}',
    ],
)
def test_what_somebody_else_has_set_is_an_error(text: str) -> None:
    """In one line that says what to do."""
    with pytest.raises(ValueError, match=r"NETGUARD_WORKER is for workers.*unset it"):
        Assignment.taken_from({VARIABLE: text})

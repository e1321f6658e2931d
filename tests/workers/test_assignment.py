"""What a worker is told."""

from __future__ import annotations

import os

import pytest

from netguard.workers.assignment import VARIABLE, Assignment


def test_it_is_taken_once() -> None:
    """It is gone from the environment then, and programs that the worker starts inherit nothing."""
    descriptors = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
    for each in descriptors:
        os.set_inheritable(each, True)
    given = Assignment(2, 4, 1_000_002, descriptors[0], descriptors[1], (("::1", 995, descriptors[2]),), {"idle": "5m"})
    environment = {VARIABLE: given.text, "HOME": "/"}
    assert Assignment.taken_from(environment) == given
    assert environment == {"HOME": "/"}
    assert Assignment.taken_from(environment) is None
    assert not any(map(os.get_inheritable, descriptors))
    for each in descriptors:
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
        '{"number": 1, "workers": 2, "first": 1, "lifeline": 987654, "totals": 987654, "sockets": []}',
    ],
)
def test_what_somebody_else_has_set_is_an_error(text: str) -> None:
    """In one line that says what to do."""
    with pytest.raises(ValueError, match=r"NETGUARD_WORKER is for workers.*unset it"):
        Assignment.taken_from({VARIABLE: text})

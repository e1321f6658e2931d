"""What is promised of the terms of penalties: how long one is, and how often it doubles."""

from __future__ import annotations

import pytest

from netguard.penalty_terms import Terms
from netguard.units import Frequency


@pytest.mark.parametrize(
    ("shortest", "longest", "most"), [(60.0, 60.0, 0), (60.0, 61.0, 1), (60.0, 3600.0, 6), (1.0, 1e300, 32)]
)
def test_terms_say_how_often_a_penalty_doubles(shortest: float, longest: float, most: int) -> None:
    """Until the longest is reached, and no more often than is of any use."""
    terms = Terms(Frequency(10, 600), shortest, longest)
    assert terms.most_times == most
    lengths = [terms.length(times) for times in range(most + 3)]
    assert lengths == sorted(lengths)
    assert (lengths[0], lengths[-1]) == (shortest, longest)
    if most < 32:
        assert lengths[max(0, most - 1)] < longest or most == 0

"""Why connections are cut: every reason is the end of one that was let in, and known by its name."""

from __future__ import annotations

from netguard.errors import cuts
from netguard.errors.reason import Reason

KINDS = [each for each in vars(cuts).values() if isinstance(each, type) and each.__module__ == cuts.__name__]


def test_every_cut_is_a_reason_that_says_what_happened() -> None:
    """In words of its own, and, but for an operator's, with the option that changes it."""
    assert len(KINDS) > 10
    assert all(issubclass(each, Reason) for each in KINDS)
    assert len({each.summary for each in KINDS if issubclass(each, Reason)}) == len(KINDS)
    assert [each for each in KINDS if issubclass(each, Reason) and not each.option] == [cuts.Expelled]

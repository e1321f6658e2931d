"""Why connections are not let in: every reason is one that is met before the application is."""

from __future__ import annotations

from netguard.errors import refusals
from netguard.errors.reason import Reason

KINDS = [each for each in vars(refusals).values() if isinstance(each, type) and each.__module__ == refusals.__name__]


def test_every_refusal_is_a_reason_that_says_what_happened() -> None:
    """In words of its own; those without a guard are the service's."""
    assert len(KINDS) > 10
    assert all(issubclass(each, Reason) for each in KINDS)
    service = {each.__name__ for each in KINDS if issubclass(each, Reason) and not each.guard}
    assert service == {"Draining", "OpeningFailed", "TooEarly", "Unwanted"}

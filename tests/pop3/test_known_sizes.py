"""Sizes that were learnt by reading."""

from __future__ import annotations

from netguard.pop3.known_sizes import KnownSizes


def test_what_is_learnt_is_known() -> None:
    """A size is known in its own mailbox only, and the last one learnt counts."""
    known = KnownSizes()
    known.learn("/a", "x", 1)
    known.learn("/a", "x", 2)
    assert known.of("/a") == {"x": 2}
    assert known.of("/b") == {}


def test_the_oldest_size_of_a_mailbox_is_forgotten() -> None:
    """A mailbox full of lies keeps as many sizes as allowed, and no more."""
    known = KnownSizes(sizes=2)
    for number in range(3):
        known.learn("/a", f"m{number}", number)
    assert known.of("/a") == {"m1": 1, "m2": 2}


def test_the_mailbox_that_learnt_longest_ago_is_forgotten() -> None:
    """The number of mailboxes is bounded, and one that still learns stays."""
    known = KnownSizes(mailboxes=2)
    for mailbox in ("/a", "/b", "/a", "/c"):
        known.learn(mailbox, "x", 1)
    assert [bool(known.of(mailbox)) for mailbox in ("/a", "/b", "/c")] == [True, False, True]

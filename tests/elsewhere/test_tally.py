"""What all tallies take from other machines, and tell them: addresses and numbers, the heaviest first, nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from netguard.elsewhere.tally import MOST_OF_ONE, counted, peer_of, told
from netguard.packed import packed


@pytest.mark.parametrize("text", ["192.0.2.7", "2001:db8:1:2::", "255.255.255.255"])
def test_peers_are_called_by_their_addresses(text: str) -> None:
    """There and back."""
    peer = packed(text)
    assert peer is not None
    assert peer_of(text) == peer
    assert told([(peer, 3)], 1, lambda each: each[1]) == {text: 3}


@pytest.mark.parametrize("text", ["", "localhost", "192.0.2", "1" * 46, "::1\0", "192.0.2.7 ", "\ud800"])
def test_what_is_no_address_is_nobody(text: str) -> None:
    """However it looks."""
    assert peer_of(text) is None


@pytest.mark.parametrize("count", [-1, 1.0, True, None, "3", [3], {}, float("nan")])
def test_what_is_no_count_is_passed_over(count: Any) -> None:
    """And what stands beside it is not."""
    news = {"192.0.2.1": count, "192.0.2.2": 2}
    assert [*counted(news)] == [(b"\xc0\0\2\2", 2)]


def test_no_count_is_larger_than_can_be() -> None:
    """Numbers without end stay small."""
    assert [*counted({"192.0.2.1": 10**400})] == [(b"\xc0\0\2\1", MOST_OF_ONE)]


def test_those_that_matter_most_are_told_and_those_without_an_address_are_not() -> None:
    """As many as may be."""
    peers = [(bytes((192, 0, 2, each)), each) for each in range(10)]
    strange = [(None, 99), ("some-name", 98)]
    assert told([*peers, *strange], 2, lambda each: each[1]) == {"192.0.2.9": 9, "192.0.2.8": 8}
    assert len(told([*peers, *strange], 10, lambda each: each[1])) == 10

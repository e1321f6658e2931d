"""What is remembered of small mailboxes."""

from __future__ import annotations

from array import array

import pytest
from attrs import evolve

from netguard.pop3.listing import Listing
from netguard.pop3.mailbox_memory import MailboxMemory
from netguard.pop3.snapshot import Messages, Snapshot
from netguard.stamp import Stamp

STAMPS = {"new": Stamp(1, 2, 0, 3, 3), "cur": Stamp(1, 4, 0, 3, 3)}


def seen(messages: int = 1, stamps: dict[str, Stamp] | None = None, *, skips: int = 0, local: bool = True) -> Snapshot:
    """What was seen of a mailbox."""
    names = [f"{number}.a" for number in range(messages)]
    listing = Listing(names, [f"new/{name}" for name in names], array("Q", range(messages)), stamps or STAMPS)
    listing.skips = skips
    return Snapshot(Messages(names, [1] * messages, names), listing, local=local)


def test_what_was_noted_is_recalled() -> None:
    """The last word about a mailbox counts; nothing is known of others."""
    memory = MailboxMemory()
    first, last = seen(), seen(2)
    memory.note("/a", first)
    assert memory.recall("/a") is first
    memory.note("/a", last)
    assert memory.recall("/a") is last
    assert memory.recall("/b") is None
    memory.forget("/a")
    memory.forget("/a")
    assert memory.recall("/a") is None


@pytest.mark.parametrize(
    "snapshot",
    [
        seen(stamps={"new": STAMPS["new"]}),
        seen(stamps={"cur": STAMPS["cur"]}),
        seen(skips=1),
        seen(local=False),
        seen(22),
    ],
    ids=["cur was young", "new was young", "rubbish", "of another machine", "large"],
)
def test_what_the_next_session_could_not_trust_is_not_remembered(snapshot: Snapshot) -> None:
    """It takes the place of what was seen before all the same: that is out of date."""
    memory = MailboxMemory(100)
    memory.note("/a", seen(21))
    assert memory.recall("/a") is not None
    memory.note("/a", snapshot)
    assert memory.recall("/a") is None
    assert len(memory) == 0


def test_who_was_not_asked_for_goes_first() -> None:
    """The bound is on the messages of all mailboxes, and a mailbox counts some for itself."""
    memory = MailboxMemory(100)
    for name in "abcd":
        memory.note(name, seen(21))
    assert len(memory) == 4
    memory.recall("a")
    memory.note("e", seen(21))
    assert [name for name in "abcde" if memory.recall(name)] == ["a", "c", "d", "e"]
    for number in range(1000):
        memory.note(str(number), seen(0))
    assert len(memory) == 25
    for number in range(1000):
        memory.forget(str(number))
    for name in "abcd":
        memory.note(name, seen(21))
    assert len(memory) == 4


def test_corrected_sizes_are_those_of_a_new_object() -> None:
    """What a session works on stays as it was."""
    before = seen(3)
    after = evolve(before, messages=before.messages.corrected({1: 7}))
    assert list(before.messages.sizes) == [1, 1, 1]
    assert (list(after.messages.sizes), after.messages.octets) == ([1, 7, 1], 9)
    assert [message.uid for message in after.messages] == [message.uid for message in before.messages]

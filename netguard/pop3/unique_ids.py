"""Unique-ids: 1 to 70 characters of 0x21-0x7E, one for each message, the same for ever (RFC 1939, section 7).

A unique-id is the base name if it has that form, else its SHA-256. A base name that looks like a SHA-256 is
hashed too, so that no file can be named to collide with another's hash. Where different files share a base
name, each gets the SHA-256 of base name and inode: that survives flags, moves and restarts, and no id ever
passes from one of them to another, which would hide mail from a client that keeps a list.

Ids that another server gave out come first, where they were asked for; a message that has none gets its own
as above, unless that is another's already.
"""

from __future__ import annotations

import hashlib
import os
import re
from itertools import repeat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netguard.pop3.foreign_lists import Given
    from netguard.pop3.slices import Steps

_LONGEST = 70
_UID = re.compile(r"[!-~]{1,70}")
_LIKE_HASH = re.compile(r"[0-9a-f]{64}")
_HASH_LENGTH = 64
_MESSAGES_A_STEP = 256


def native_id(name: str, inode: int, sharers: int = 1) -> str:
    """Return the unique-id of a message whose base name `sharers` files have."""
    if sharers > 1:
        return hashlib.sha256(os.fsencode(name) + b"\0%d" % inode).hexdigest()
    if _UID.fullmatch(name) and not (len(name) == _HASH_LENGTH and _LIKE_HASH.fullmatch(name)):
        return name
    return _hashed(name)


def unique_ids(
    names: Sequence[str], inodes: Sequence[int], sharers: Mapping[str, int], given: Given
) -> Steps[list[str]]:
    """Return the unique-ids of messages.

    Args:
        names: their base names.
        inodes: their inodes.
        sharers: how many files have a base name, where it is more than one.
        given: the ids that another server gave out.
    """
    uids: list[str] = []
    for start in range(0, len(names), _MESSAGES_A_STEP):
        part = names[start : start + _MESSAGES_A_STEP]
        if are_plain(part) and not sharers:
            uids += part
        else:
            shares = (sharers.get(name, 1) for name in part) if sharers else repeat(1)
            uids += map(native_id, part, inodes[start : start + _MESSAGES_A_STEP], shares)
        yield
    if given.ids:
        yield from _put_given(uids, names, sharers, given)
    return uids


def are_plain(names: Sequence[str]) -> bool:
    """Whether each of these names is its own unique-id, at the speed of C."""
    text = "".join(names)
    lengths = set(map(len, names))
    return (
        text.isascii()
        and text.isprintable()
        and " " not in text
        and max(lengths, default=1) <= _LONGEST
        and not lengths & {0, _HASH_LENGTH}
    )


def are_well_formed(uids: Sequence[str]) -> bool:
    """Whether all have the form of a unique-id."""
    text = "".join(uids)
    return (
        text.isascii()
        and text.isprintable()
        and " " not in text
        and all(0 < length <= _LONGEST for length in set(map(len, uids)))
    )


def _put_given(uids: list[str], names: Sequence[str], sharers: Mapping[str, int], given: Given) -> Steps[None]:
    """Replace ids by those that were given out; each is used once."""
    foreign = set(given.ids.values())
    used: set[str] = set()
    for index, name in enumerate(names):
        if not index % _MESSAGES_A_STEP:
            yield
        uid = given.ids.get(name, "") if name not in sharers else ""
        if uid not in used and _UID.fullmatch(uid):
            used.add(uid)
            uids[index] = uid
        elif uids[index] in foreign:
            uids[index] = _hashed(name)


def _hashed(name: str) -> str:
    return hashlib.sha256(os.fsencode(name)).hexdigest()

"""Argon2id (RFC 9106) for passwords that a client sends over an encrypted connection.

The rules of this file:

* Only the verifier is stored, as the text that every Argon2 program knows:
  ``$argon2id$v=19$m=...,t=...,p=...$salt$tag``.
* A verifier brings its own cost, so its cost is read, and bounded, before any work is done: a row that asks
  for 4 GiB is trouble with the store, not a reason to try.
* OpenSSL runs several lanes in threads of one small pool for the whole process (as many as there are cores).
  Two derivations at once can each hold some of them and wait for more, for ever. So there is one lane by
  default, which needs none of those threads, and verifiers with more take turns.
"""

from __future__ import annotations

import base64
import os
import re
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING

from attrs import frozen
from cryptography.exceptions import InvalidKey, UnsupportedAlgorithm
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from netguard.accounts.interface import AccountsTrouble

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_SALT_OCTETS = 16
_TAG_OCTETS = 32

# What one check may cost at most: four times the memory and ten times the passes of the default, for
# verifiers that come from elsewhere.
MOST_MEMORY = 256 * 1024
MOST_PASSES = 30
MOST_LANES = 16

_several_lanes = threading.Lock()

_VERIFIER = re.compile(
    r"\$argon2id\$v=19\$m=(?P<memory>[1-9]\d{0,9}),t=(?P<passes>[1-9]\d{0,9}),p=(?P<lanes>[1-9]\d{0,9})"
    r"\$[A-Za-z0-9+/]{11,64}\$[A-Za-z0-9+/]{22,128}"
)


class UnusableVerifier(Exception):
    """What is stored is no Argon2id verifier, or one that costs more than a check may."""


@frozen
class Cost:
    """What one hash or check costs.

    The default is the second recommended option of RFC 9106, section 4, for where memory is scarce: 64 MiB and 3
    passes, but in 1 lane: 4 would cost the same work and need threads. (OWASP's Password Storage Cheat Sheet
    asks for 19 MiB, 2 passes and 1 lane at least.)

    Args:
        memory: KiB.
        passes: how often the memory is gone over.
        lanes: how many may be filled at once, in threads of OpenSSL's.
    """

    memory: int = 64 * 1024
    passes: int = 3
    lanes: int = 1

    def in_turn(self) -> AbstractContextManager[object]:
        """What a derivation of this cost has to hold while it runs."""
        return _several_lanes if self.lanes > 1 else nullcontext()


def hashed(password: bytes, cost: Cost | None = None) -> str:
    """The verifier of a password, with a fresh random salt.

    Args:
        password: as a client will send it.
        cost: what a check shall cost; see `Cost` for the default.

    Raises:
        AccountsTrouble: when the OpenSSL behind `cryptography` has no Argon2id (before 3.2).
    """
    cost = cost or Cost()
    try:
        kdf = Argon2id(
            salt=os.urandom(_SALT_OCTETS),
            length=_TAG_OCTETS,
            iterations=cost.passes,
            lanes=cost.lanes,
            memory_cost=cost.memory,
        )
    except UnsupportedAlgorithm:
        raise AccountsTrouble("passwords need Argon2id, which this OpenSSL has not; it came with 3.2") from None
    with cost.in_turn():
        return kdf.derive_phc_encoded(password)


def nobodys(cost: Cost | None = None) -> str:
    """A verifier that no password matches, and that takes as much work to find out as one of this cost.

    Args:
        cost: as for `hashed`.
    """
    cost = cost or Cost()
    salt, tag = (
        base64.b64encode(os.urandom(octets)).decode("ascii").rstrip("=") for octets in (_SALT_OCTETS, _TAG_OCTETS)
    )
    return f"$argon2id$v=19$m={cost.memory},t={cost.passes},p={cost.lanes}${salt}${tag}"


def cost_of(verifier: str) -> Cost:
    """What a check against this verifier costs.

    Raises:
        UnusableVerifier: when it is not an Argon2id verifier, or costs more than a check may.
    """
    found = _VERIFIER.fullmatch(verifier)
    if found is None:
        raise UnusableVerifier("what is stored as password is not an Argon2id verifier")
    cost = Cost(int(found["memory"]), int(found["passes"]), int(found["lanes"]))
    for what, limit, observed in (
        ("KiB of memory", MOST_MEMORY, cost.memory),
        ("passes", MOST_PASSES, cost.passes),
        ("lanes", MOST_LANES, cost.lanes),
    ):
        if observed > limit:
            raise UnusableVerifier(f"the stored password asks for {observed} {what}, limit {limit}")
    return cost


def matches(verifier: str, password: bytes) -> bool:
    """Whether the password is the one that the verifier was made of, compared in constant time.

    Raises:
        UnusableVerifier: as `cost_of` does.
    """
    try:
        with cost_of(verifier).in_turn():
            Argon2id.verify_phc_encoded(password, verifier)
    except InvalidKey:
        return False
    return True

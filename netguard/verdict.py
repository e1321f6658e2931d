"""What a look-up of a peer's name can come to: five answers, which nobody should mistake for each other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from attrs import field, frozen


@frozen
class Verified:
    """The address has this name, and the name has the address.

    Args:
        name: a host name, in lower case and without a dot at its end.
    """

    name: str


@frozen
class NoName:
    """The address has no name."""


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(names)


@frozen
class Mismatch:
    """The address has names, and none of them has the address: whoever says so is not to be believed.

    Args:
        names: those names, as far as they are host names at all.
    """

    names: tuple[str, ...] = field(default=(), converter=_names)


@frozen
class Timeout:
    """Nobody answered in time: nothing is known."""


@frozen
class Failure:
    """The name servers could not or would not answer: nothing is known.

    Args:
        rcode: their code (RFC 1035, section 4.1.1); None when what they sent was no answer.
    """

    rcode: int | None = None


_WORDS = {Verified: "verified", NoName: "no-name", Mismatch: "mismatch", Timeout: "timeout", Failure: "failure"}


def word(verdict: object) -> str:
    """A word for a verdict, for logs and for programs: one for each of the five."""
    return _WORDS[type(verdict)]


Verdict: TypeAlias = Verified | NoName | Mismatch | Timeout | Failure

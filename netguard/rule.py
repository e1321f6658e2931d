"""One access rule: whom it concerns, and whether they may come in."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from attrs import field, frozen
from attrs.validators import instance_of

from netguard.networks import Network, network_of, written

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(\.?)({_LABEL}(?:\.{_LABEL})*)\.?")
_LONGEST_NAME = 253
_LONGEST = 60
_ALLOW, _DENY = "allow", "deny"


class Word(Enum):
    """Words for those whom no address and no name can tell."""

    ALL = "everybody"
    KNOWN = "whose address has a name, and the name the address"
    UNKNOWN = "whose address has no name"
    PARANOID = "whose address has a name that does not have the address"
    UNIX = "who have no IP address: the peers of UNIX sockets"

    def __str__(self) -> str:
        """As it is written in a rule."""
        return self.name


@frozen
class Name:
    """A verified name, or all names below it.

    Args:
        name: in lower case, without a dot at either end.
        below: not the name itself, but every name that ends in it, by whole labels.
    """

    name: str
    below: bool = False

    def __str__(self) -> str:
        """As it is written in a rule."""
        return f".{self.name}" if self.below else self.name


Subject = Network | Name | Word

EXPECTED: Final = "an address, a network, a host name, a .suffix of host names, or one of " + ", ".join(
    each.name for each in Word
)

_CLAIM = "what an ident server says of a user proves nothing, and no rule goes by it: write the host alone"
_FOREIGN = {
    "except": "write the exception as a rule of its own, before this one",
    "local": "write the networks or the .suffix that are meant",
    _ALLOW: "each rule has one allow or deny, at its beginning",
    _DENY: "each rule has one allow or deny, at its beginning",
    "ident": _CLAIM,
}
"""Words that would pass for host names, and mean another thing to whoever writes them."""
_LIKE_A_CLAIM = re.compile(r"ident[:=@]|.*@", re.IGNORECASE)
"""As TCP wrappers have it: user@host."""


def subject_of(text: str) -> Subject:
    """Read whom a rule concerns.

    Args:
        text: an address or a network, IPv6 with or without brackets; a host name (RFC 1123, and ``_``) or, after a dot,
            what the name has to end in; or a :class:`Word`, in capitals or not.

    Raises:
        ValueError: it is none of these; the text says what was expected.
    """
    if text.upper() in Word.__members__:
        return Word[text.upper()]
    foreign = _CLAIM if _LIKE_A_CLAIM.match(text) else _FOREIGN.get(text.lower())
    if foreign is not None:
        message = f"{text[:_LONGEST]!r} cannot be used here: {foreign}"
        raise ValueError(message)
    if ":" in text or "/" in text or text.rstrip(".").rpartition(".")[2].isdecimal():
        return network_of(text)
    match = _NAME.fullmatch(text)
    if match is None or len(match[2]) > _LONGEST_NAME:
        message = f"{text[:_LONGEST]!r} is not {EXPECTED}"
        raise ValueError(message)
    return Name(match[2].lower(), bool(match[1]))


@frozen
class Rule:
    """One rule.

    Args:
        allow: whether those whom it concerns may come in.
        what: whom it concerns.
        place: where it stands, as ``FILE:LINE``; empty when it came with the options. Rules that say the same are
            equal, wherever they stand.

    Raises:
        TypeError: ``what`` is something else, such as what ident claims.
    """

    allow: bool
    what: Subject = field(validator=instance_of(Subject))
    place: str = field(default="", eq=False)

    def __str__(self) -> str:
        """As it is written."""
        what = self.what if isinstance(self.what, Name | Word) else written(self.what)
        return f"{_ALLOW if self.allow else _DENY} {what}"

    @property
    def needs_name(self) -> bool:
        """Whether it can only be applied to a peer whose name has been looked up."""
        return isinstance(self.what, Name) or self.what in (Word.KNOWN, Word.UNKNOWN, Word.PARANOID)


def rules_of(text: str, place: str = "") -> tuple[Rule, ...]:
    """Read what stands on one line: ``allow`` or ``deny``, and whom; one rule for each of them.

    Args:
        text: the line.
        place: where it stands.

    Raises:
        ValueError: it is no rule.
    """
    verb, *subjects = text.split() or [""]
    if verb.lower() not in (_ALLOW, _DENY) or not subjects:
        message = f"{text.strip()[:_LONGEST]!r} is not a rule: write allow or deny, and {EXPECTED}"
        raise ValueError(message)
    return tuple(Rule(verb.lower() == _ALLOW, subject_of(each), place) for each in subjects)

"""Names of users: what may be one, and when two are too much alike.

A name becomes the name of a directory, a word on a POP3 command line and a column of a log. So it is one
visible word, it cannot climb out of a directory, it fits a command line, and no two names differ only in what
a person or a file system may overlook.
"""

from __future__ import annotations

import unicodedata

from netguard.wire.saslprep import Unprepared, saslprep

# RFC 1939 section 3 gives an argument 40 octets, which is little for a mail address used as a name; RFC 2449
# section 4 gives a command line 255, and APOP needs 39 of them for the rest.
LONGEST_NAME = 64


def check_name(name: str) -> str:
    """Return the name unchanged when it may be a user's.

    Args:
        name: 1 to 64 octets in UTF-8; visible characters only, no white space, no ``/``, no dot in front, and
            in the form that SASLprep (RFC 4013) gives it, so that one name has one spelling, whoever sends it.

    Raises:
        ValueError: saying which rule the name breaks.
    """
    if not name:
        raise ValueError("a user name needs at least one character")
    shown = ascii(name[:LONGEST_NAME])
    if not name.isprintable() or " " in name:  # the only space that prints
        raise ValueError(f"the user name {shown} has white space, a control or another invisible character")
    if len(name.encode()) > LONGEST_NAME:
        raise ValueError(f"the user name {shown} is longer than {LONGEST_NAME} octets")
    if "/" in name:
        raise ValueError(f"the user name {shown} has a '/', and a name must not be a path")
    if name.startswith("."):
        raise ValueError(
            f"the user name {shown} begins with a dot, and a name must not be a hidden or parent directory"
        )
    try:
        prepared = saslprep(name)
    except Unprepared as why:
        raise ValueError(f"the user name {shown} cannot be one: {why}") from None
    if prepared != name:
        raise ValueError(f"the user name {shown} is not in the form that clients send it in (SASLprep)")
    return name


def folded(name: str) -> str:
    """What two names that differ only in case or in the form of their characters have in common."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def from_wire(name: bytes) -> str:
    """The name that a client sent, as text to look up, in its one spelling (RFC 6856, section 2.2).

    Args:
        name: as it was received; "" (which nobody is called) stands for what is no UTF-8, or refused by SASLprep.
    """
    try:
        return saslprep(name.decode("utf-8"))
    except ValueError:  # Unprepared, and UnicodeError
        return ""

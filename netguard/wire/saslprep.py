"""SASLprep (RFC 4013): one form for names and passwords that people type in different ways.

Composed and decomposed letters, wide letters and odd spaces become one text on both sides of a login; what
cannot be typed or seen (controls, private use, surrogates) is refused. The tables are those of Unicode 3.2, which
the RFC fixes; code points that came later pass, as in a query (RFC 3454, section 7).
"""

from __future__ import annotations

import stringprep
from unicodedata import ucd_3_2_0

_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21,
    stringprep.in_table_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


class Unprepared(ValueError):
    """A text that SASLprep refuses. Nothing of the text is in the message."""


def saslprep(text: str) -> str:
    """The prepared form of a name or password.

    Args:
        text: as it was typed or received.

    Raises:
        Unprepared: when it has a character that is prohibited, or mixes directions of writing as section 2.3
            forbids.
    """
    if text.isascii() and text.isprintable():
        return text  # nearly every text there is; SASLprep changes nothing about it
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in text
        if not stringprep.in_table_b1(character)
    )
    prepared = ucd_3_2_0.normalize("NFKC", mapped)
    if any(prohibited(character) for character in prepared for prohibited in _PROHIBITED):
        raise Unprepared("it has a character that no name or password may have")
    if any(map(stringprep.in_table_d1, prepared)):
        ends = prepared[0], prepared[-1]
        if any(map(stringprep.in_table_d2, prepared)) or not all(map(stringprep.in_table_d1, ends)):
            raise Unprepared("it mixes writing from left to right with writing from right to left")
    return prepared


def prepared_password(password: bytes) -> bytes:
    """A password in its prepared form; as it came when it has none.

    What is no UTF-8, or is refused by SASLprep, may still be somebody's password in another program's accounts
    (PostgreSQL does the same).

    Args:
        password: as it was received.
    """
    try:
        return saslprep(password.decode("utf-8")).encode("utf-8")
    except ValueError:  # Unprepared, and UnicodeError
        return password

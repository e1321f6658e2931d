"""The standard dictionary of one-time passwords."""

from __future__ import annotations

import hashlib
from itertools import pairwise

from netguard.wire.otp_words import NUMBERS, WORDS

# Of all words, parted by spaces: whoever touches one of them by accident shall notice.
DIGEST = "46d3275be21196944429f7ce3ef95e4368fca4ba0dc9f35d01e96350f72e5549"


def test_the_dictionary_is_the_standards() -> None:
    """2,048 words of capitals, the 571 of one to three letters first, each part in the order of the alphabet."""
    assert len(WORDS) == len(set(WORDS)) == 2048
    assert all(word.isascii() and word.isalpha() and word.isupper() for word in WORDS)
    short, long = WORDS[:571], WORDS[571:]
    assert {len(word) for word in short} == {1, 2, 3}
    assert {len(word) for word in long} == {4}
    assert all(left < right for part in (short, long) for left, right in pairwise(part))
    assert (WORDS[0], WORDS[570], WORDS[571], WORDS[-1]) == ("A", "YOU", "ABED", "YOKE")
    assert hashlib.sha256(" ".join(WORDS).encode()).hexdigest() == DIGEST


def test_numbers_are_places() -> None:
    """Each word's number is where it stands."""
    assert [NUMBERS[word] for word in WORDS] == list(range(2048))

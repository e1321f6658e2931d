"""One-time passwords of RFC 2289 (S/KEY's successor): a chain of hashes, spent from its end.

The rules of this file:

* The server keeps the one-time password that was used last. The next one is what hashes to it; nobody who hears it
  can make the one after it.
* Both ways of writing one are read as tolerantly as the RFC asks: hexadecimal in either case with any spaces, and
  six words in either case, whose checksum is verified. A text that is both is tried as both.
* MD5 and SHA-1 are what the RFC requires and recommends; what is asked of them here, that they cannot be
  inverted, still holds. MD4 is left out.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netguard.wire.otp_words import NUMBERS, WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

OCTETS = 8
# Of a sequence number, in challenges and in re-initialisations (RFC 2444 and its clients).
MOST_SEQUENCE = 9999
# With fewer one-time passwords left, the user should begin a new chain.
LOW = 10
# Of a pass phrase (RFC 2289, section 6): fewer characters can be guessed from one password that was overheard.
LEAST_PHRASE = 10
MOST_PHRASE = 63

# Six words of four letters, with generous spaces; an extended response has two of them.
_MOST_TEXT = 128
_WORDS = 6
_WORD_BITS = 11
_SEED = re.compile(r"[a-z0-9]{1,16}")
_HEX = re.compile(r"[0-9a-fA-F]{16}")
_STATE = re.compile(
    r"otp-(?P<algorithm>md5|sha1) (?P<sequence>\d{1,5}) (?P<seed>[a-z0-9]{1,16}) (?P<last>[0-9a-f]{16})"
)


def _fold_md5(text: bytes) -> bytes:
    digest = hashlib.md5(text, usedforsecurity=False).digest()
    return _xor(digest[:8], digest[8:])


def _fold_sha1(text: bytes) -> bytes:
    digest = hashlib.sha1(text, usedforsecurity=False).digest()
    folded = _xor(_xor(digest[:8], digest[8:16]), digest[16:] + bytes(4))
    # Appendix A wants each word of 32 bits with its least octet first.
    return folded[3::-1] + folded[:3:-1]


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(OCTETS)


ALGORITHMS = {"md5": _fold_md5, "sha1": _fold_sha1}


def check_seed(seed: str) -> str:
    """Return a seed in lower case, as it is hashed (RFC 2289, section 6).

    Args:
        seed: 1 to 16 letters and digits of ASCII.

    Raises:
        ValueError: for anything else.
    """
    lower = seed.lower()
    if not seed.isascii() or not _SEED.fullmatch(lower):
        raise ValueError("a seed has 1 to 16 letters and digits")
    return lower


def generate(algorithm: str, phrase: bytes, seed: str, count: int) -> bytes:
    """The one-time password of a number: hashes the pass phrase behind the seed, then the result so many times.

    Args:
        algorithm: `md5` or `sha1`.
        phrase: the user's secret, of 10 to 63 characters.
        seed: as for `check_seed`.
        count: the number in the challenge, 0 to 9,999.
    """
    return chain(algorithm, phrase, seed, count)[-1]


def chain(algorithm: str, phrase: bytes, seed: str, count: int) -> list[bytes]:
    """The one-time passwords of all numbers from 0; the arguments are those of `generate`."""
    fold = ALGORITHMS[algorithm]
    made = [fold(check_seed(seed).encode() + phrase)]
    for _ in range(count):
        made.append(fold(made[-1]))
    return made


def to_hex(password: bytes) -> str:
    """In hexadecimal."""
    return password.hex()


def to_words(password: bytes) -> str:
    """As six words of the standard dictionary: 64 bits, and 2 of a checksum (RFC 2289, section 6)."""
    bits = int.from_bytes(password) << 2 | _checksum(password)
    return " ".join(WORDS[bits >> shift & 0x7FF] for shift in range((_WORDS - 1) * _WORD_BITS, -1, -_WORD_BITS))


def from_hex(text: str) -> bytes | None:
    """Read hexadecimal in either case, with spaces anywhere; None when it is something else."""
    digits = "".join(_split(text))
    return bytes.fromhex(digits) if _HEX.fullmatch(digits) else None


def from_words(text: str) -> bytes | None:
    """Read six words in either case; None when they are others, or their checksum is wrong."""
    numbers = [NUMBERS.get(word.upper()) for word in _split(text)]
    if len(numbers) != _WORDS:
        return None
    bits = 0
    for number in numbers:
        if number is None:
            return None
        bits = bits << _WORD_BITS | number
    password = (bits >> 2).to_bytes(OCTETS)
    return password if bits & 3 == _checksum(password) else None


def readings(text: str) -> Iterator[bytes]:
    """What a text can mean that does not say which way it is written: none, one or two one-time passwords."""
    for read in (from_hex, from_words):
        if (password := read(text)) is not None:
            yield password


def _split(text: str) -> list[str]:
    return text.split() if text.isascii() and len(text) <= _MOST_TEXT else []


def _checksum(password: bytes) -> int:
    """The sum of the 32 pairs of bits, of which two bits are kept."""
    bits = int.from_bytes(password)
    return sum(bits >> shift & 3 for shift in range(0, 64, 2)) & 3


@dataclass(frozen=True, slots=True)
class State:
    """Where a user's chain stands.

    Attributes:
        algorithm: `md5` or `sha1`.
        sequence: the number of the one-time password that was used last, up to 9,999.
        seed: 1 to 16 lower-case letters and digits.
        last: the one-time password that was used last, 8 octets; no repr shows it.
        mock: whether it is nobody's, and no one-time password is right.
    """

    algorithm: str
    sequence: int
    seed: str
    last: bytes = field(repr=False)
    mock: bool = False

    @classmethod
    def begin(cls, algorithm: str, phrase: bytes, seed: str, sequence: int) -> State:
        """The state of a chain of which nothing was used yet.

        Args:
            algorithm: `md5` or `sha1`.
            phrase: the user's secret.
            seed: as for `check_seed`.
            sequence: one more than the number of one-time passwords in it, 2 to 9,999.
        """
        seed = check_seed(seed)
        return cls(algorithm, sequence, seed, generate(algorithm, phrase, seed, sequence))

    @classmethod
    def parse(cls, text: str) -> State:
        """Read what `str` writes.

        Raises:
            ValueError: for anything else. The message tells nothing of the text.
        """
        found = _STATE.fullmatch(text)
        if found is None or not 1 <= int(found["sequence"]) <= MOST_SEQUENCE:
            raise ValueError("it is not the state of a chain of one-time passwords")
        return cls(found["algorithm"], int(found["sequence"]), found["seed"], bytes.fromhex(found["last"]))

    def __str__(self) -> str:
        """For storing; `parse` reads it."""
        return f"otp-{self.algorithm} {self.sequence} {self.seed} {self.last.hex()}"

    @property
    def left(self) -> int:
        """How many one-time passwords can still be used."""
        return self.sequence - 1

    @property
    def challenge(self) -> str:
        """What to ask the user for, with the word that allows extended responses (RFC 2289, RFC 2243)."""
        return f"otp-{self.algorithm} {self.left} {self.seed} ext"

    def after(self, password: bytes) -> State | None:
        """The state once this one-time password is spent; None when it is not the next one, or none is left."""
        right = hmac.compare_digest(ALGORITHMS[self.algorithm](password), self.last)
        if not right or self.mock or self.left < 1:
            return None
        return State(self.algorithm, self.left, self.seed, password)


def mock(secret: bytes, name: str) -> State:
    """What an unknown user is asked for: the same at each try, as for somebody who has not logged in since.

    Args:
        secret: random octets that this server keeps for good.
        name: the user's.
    """
    made = hmac.digest(secret, b"OTP\0" + name.encode(), "sha256")
    return State("sha1", 100 + int.from_bytes(made[:2]) % 400, new_seed(made[2:7]), made[8:16], mock=True)


def new_seed(random: bytes) -> str:
    """A seed as this server makes them: two letters and four digits, of five random octets or more."""
    letters = "".join(chr(ord("a") + octet % 26) for octet in random[:2])
    return f"{letters}{int.from_bytes(random[2:5]) % 10_000:04}"

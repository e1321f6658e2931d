"""UTF-8 in the header of a message (RFC 6532), for clients that did not say that they read it (RFC 6856).

A server must not send them such a header as it is (RFC 6856, section 2.1). To refuse the message instead would let
anybody who sends one stop the mail of a person whose program cannot go on. So words that are not ASCII become
encoded-words (RFC 2047), which nearly every program shows as what they were. An address that is not ASCII can then
be read, and not be used, as it could not be by that program in any case.

Rules:

- Words that are ASCII, and what stands between words, stay as they are, and so do words that are no UTF-8: nobody can
  know what they mean. The body is never touched.
- Nothing depends on where the text was cut: the line that is not ended waits.
- Only the first `LONGEST` octets are looked at; whole lines, and none behind them.
"""

from __future__ import annotations

import re
from binascii import b2a_base64

LONGEST = 32768
"""Octets of a header that are looked at: more than honest ones have. The worst there can be takes some 10 ms."""

# Where a word of any field ends: white space, and what structured fields put between their parts.
_BETWEEN = re.compile(rb'([\x00-\x20"(),:;<=>@\[\\\]\x7f]+)')
# An encoded-word has 75 octets at most (RFC 2047, section 2): 12 around 60 of base64, which are 45.
_OCTETS_A_WORD = 45
# Octets with which no character of UTF-8 begins.
_CONTINUED = bytes(range(0x80, 0xC0))


class AsciiHeader:
    """Makes the header of one message ASCII, chunk by chunk; its lines end with CRLF."""

    __slots__ = ("_encoded_before", "_held", "_left")

    def __init__(self) -> None:
        self._held = b""
        self._left = LONGEST
        # Whether an encoded-word was the last word, with nothing but white space since.
        self._encoded_before = False

    def feed(self, text: bytes) -> bytes:
        """Return what the next octets of the message become.

        Args:
            text: the next octets, any number of them.
        """
        if not self._left:
            return text
        text = self._held + text
        # The blank line is an empty one at the beginning, or the second of two line ends.
        blank = -2 if text.startswith(b"\r\n") else text.find(b"\r\n\r\n", 0, self._left)
        over = blank != -1 or len(text) > self._left
        last = blank if blank != -1 else text.rfind(b"\r\n", 0, self._left)
        end = last + 2 if last != -1 else 0
        lines, rest = self._ascii(text[:end]), text[end:]
        if over:
            self._left, self._held = 0, b""
            return lines + rest
        self._left -= end
        self._held = rest
        return lines

    def finish(self) -> bytes:
        """Return what became of a last line without an end."""
        held, self._held = self._held, b""
        return self._ascii(held)

    def _ascii(self, lines: bytes) -> bytes:
        if lines.isascii():
            self._encoded_before = self._encoded_before and not lines.strip()
            return lines
        parts = _BETWEEN.split(lines)
        for at in range(0, len(parts), 2):
            if at:
                self._encoded_before = self._encoded_before and parts[at - 1].isspace()
            if parts[at]:
                parts[at] = self._word(parts[at])
        return b"".join(parts)

    def _word(self, word: bytes) -> bytes:
        # The white space between two encoded-words is not shown (RFC 2047, section 6.2), so it goes into the second.
        space = b" " if self._encoded_before else b""
        self._encoded_before = not word.isascii() and _is_utf8(word)
        return _encoded(space + word) if self._encoded_before else word


def _is_utf8(word: bytes) -> bool:
    try:
        word.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _encoded(word: bytes) -> bytes:
    """A word as encoded-words, each with whole characters (RFC 2047, section 5)."""
    pieces = []
    while word:
        end = min(_OCTETS_A_WORD, len(word))
        while end < len(word) and word[end : end + 1] in _CONTINUED:
            end -= 1
        pieces.append(b"=?utf-8?b?" + b2a_base64(word[:end], newline=False) + b"?=")
        word = word[end:]
    return b"\r\n ".join(pieces)

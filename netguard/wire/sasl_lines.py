"""SASL on lines, as the AUTH command of POP3 has it (RFC 5034): how what mechanisms say and ask travels."""

from __future__ import annotations

from binascii import b2a_base64
from typing import TYPE_CHECKING

from netguard.wire.sasl import Challenge, Failure, Why, malformed
from netguard.wire.strict_base64 import decode

if TYPE_CHECKING:
    from netguard.wire.sasl import Mechanism, Outcome, Question, Step

# Octets of a line of base64 with its CRLF: what RFC 4954, section 4, finds sufficient. (RFC 5034 bounds only the
# AUTH command itself, as RFC 2449 bounds every command.)
MAX_LINE = 12_288

CANCEL = b"*"
_EMPTY = b"="


def decode_initial(word: bytes) -> bytes | None:
    """What an initial response stands for: `=` is an empty one (RFC 5034, section 4); None when it is malformed.

    Args:
        word: what stands behind the mechanism's name; at least one octet.
    """
    if word == _EMPTY:
        return b""
    return decode(word) or None


def encode(challenge: bytes) -> bytes:
    """The line of a challenge, with its CRLF; an empty one keeps its space (RFC 5034, section 4)."""
    return b"+ " + b2a_base64(challenge, newline=False) + b"\r\n"


class Exchange:
    """One AUTH command on lines: a mechanism between base64 and its driver.

    `begin`, `receive` and `answer` return the line to send (bytes, with its CRLF), a question to have answered, or
    the outcome.

    Args:
        mechanism: not yet begun.
    """

    __slots__ = ("_mechanism",)

    def __init__(self, mechanism: Mechanism) -> None:
        self._mechanism = mechanism

    @property
    def mechanism(self) -> str:
        """The mechanism's name."""
        return self._mechanism.name

    def begin(self, word: bytes | None) -> bytes | Question | Outcome:
        """The AUTH command.

        Args:
            word: what stands behind the mechanism's name; None when nothing does.
        """
        if word is None:
            return self._said(self._mechanism.begin(None))
        initial = decode_initial(word)
        if initial is None:
            return malformed("initial response is not base64")
        return self._said(self._mechanism.begin(initial))

    def receive(self, line: bytes) -> bytes | Question | Outcome:
        """A line of the client, without its CRLF."""
        if line == CANCEL:
            return Failure(Why.CANCELLED, "the client cancelled")
        response = decode(line)
        if response is None:
            return malformed("response is not base64")
        return self._said(self._mechanism.receive(response))

    def answer(self, found: object) -> bytes | Question | Outcome:
        """The answer to the question that was returned last."""
        return self._said(self._mechanism.answer(found))

    @staticmethod
    def _said(step: Step) -> bytes | Question | Outcome:
        return encode(step.data) if isinstance(step, Challenge) else step

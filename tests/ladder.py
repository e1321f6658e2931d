"""A mechanism of SASL that nobody has, which can do everything that a mechanism may do."""

from __future__ import annotations

from netguard.wire import sasl
from netguard.wire.sasl import CheckCertificate, Mechanism, Step, Success


class Ladder(Mechanism):
    """Asks for one word after the other: takes `up`, asks whose it is, and is done at `top`."""

    def __init__(self) -> None:
        super().__init__("LADDER", self._word)

    def _word(self, word: bytes) -> Step:
        if word == b"up":
            return self._challenge(b"higher", self._word)
        if word == b"ask":
            return self._ask(CheckCertificate("bob"), self._known)
        return Success("bob") if word == b"top" else sasl.WRONG

    def _known(self, name: str | None) -> Step:
        return self._challenge(b"", self._word) if name else sasl.malformed("nobody")

"""How a refused connection is answered."""

from __future__ import annotations

from typing import Any

from netguard.guard import Connection, Guard, House, Opener, frozen
from netguard.options import option
from netguard.units import Unit

_TEXT = "text:"
_LONGEST = 512
"""Characters of a text: what POP3 and SMTP have for a whole answer."""


def _parse(value: Any) -> str:
    style = str(value).strip()
    kind, colon, text = style.partition(":")
    if colon:
        if kind.lower() == "text" and 0 < len(text.strip()) <= _LONGEST and text.isprintable():
            return _TEXT + text.strip()
    elif kind.lower() in ("close", "reset"):
        return kind.lower()
    raise ValueError(value)


style = Unit("refusal", "close, reset, or text: and what to say, on one line", _parse)


@frozen
class Refusal(Guard):
    """Answer refused connections with a reset or a text, instead of closing them without a word.

    A reset costs least, on both sides. A text is sent at once and nothing is waited for; inside TLS, where a handshake
    would have to come first, the connection is reset. netguard-pop makes a POP3 answer of it: ``-ERR [SYS/TEMP] text``.

    Args:
        style: ``close``, ``reset`` or ``text:`` and the text.
    """

    style: str = option("refusal", style, "How a connection is refused.")

    def install(self, house: House) -> Opener:
        """Tell the service."""
        house.refuse_by(self.style)
        return self.open

    def open(self, connection: Connection) -> None:
        """There is nothing to ask of a connection."""

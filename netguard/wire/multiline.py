"""A stored message on its way to the wire: the multi-line form of RFC 1939, section 3.

Rules:

- A line ends at LF. A bare LF becomes CRLF; a CRLF stays what it is; a bare CR, a NUL and an 8-bit byte are
  content and pass untouched, so ``CR CR LF`` stays ``CR CR LF``.
- A line that begins with ``.`` gets a second one, so that no message can end its own transfer and forge the
  next reply.
- A last line without an end gets one; then comes ``.`` CRLF. An empty message is the terminator alone.
- Nothing depends on where the input was cut: the last byte before an edge is remembered, none is held back, save for a
  line of a header that is to be ASCII.

All work is done by whole-chunk bytes operations; there is no loop over lines or bytes. Output is never more
than twice the input, plus the five bytes of :meth:`WireLines.finish`, where the header may stay as it is.
"""

from __future__ import annotations

from netguard.wire.ascii_header import AsciiHeader

_BLANK = b"\r\n\r\n"


class _LineEnds:
    """Turns every line end into CRLF, whatever the chunk edges, and counts the octets that come out."""

    __slots__ = ("_after_cr", "octets")

    def __init__(self) -> None:
        self._after_cr = False
        self.octets = 0

    def feed(self, chunk: bytes) -> bytes:
        """Return `chunk` with CRLF line ends."""
        if not chunk:
            return chunk
        head = b""
        if self._after_cr and chunk.startswith(b"\n"):
            # The CR of this line end went out with the previous chunk.
            head, chunk = b"\n", chunk[1:]
        self._after_cr = chunk.endswith(b"\r")
        if b"\r" not in chunk:
            chunk = chunk.replace(b"\n", b"\r\n")
        elif chunk.count(b"\r\n") != chunk.count(b"\n"):
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        if head:
            chunk = head + chunk
        self.octets += len(chunk)
        return chunk


class WireLines:
    """Encode one stored message, chunk by chunk, as the body of a multi-line reply (RFC 1939, section 3).

    Args:
        top: None for the whole message (RETR); a number of body lines for TOP: the headers, the blank line
            and that many lines. A number beyond the message's length gives the whole message.
        utf8: whether a header with UTF-8 in it may stay as it is; else see :mod:`netguard.wire.ascii_header`.

    Raises:
        ValueError: `top` is negative.

    Attributes:
        octets: wire octets so far, stuffing and terminator not counted; after :meth:`finish`, and without
            `top`, this is the size of the message as LIST must give it (RFC 1939, section 11), and as it is.
        whole: whether it is the whole message.
        done: no more input is needed: the requested lines are complete, or :meth:`finish` was called.
    """

    __slots__ = ("_finished", "_header", "_line_start", "_lines", "_tail", "_top", "done", "whole")

    def __init__(self, top: int | None = None, *, utf8: bool = True) -> None:
        if top is not None and top < 0:
            raise ValueError(f"the number of body lines must be 0 or more, not {top}")
        self.whole = top is None
        self._lines = _LineEnds()
        self._header = None if utf8 else AsciiHeader()
        self._line_start = True
        self._finished = False
        self._top = top
        # The end of what was sent, where the blank line may have begun; None once it was found, or is not
        # sought. A message begins at a line start, hence the first value: a first line that is empty is the
        # blank line.
        self._tail: bytes | None = None if top is None else b"\r\n"
        self.done = False

    @property
    def octets(self) -> int:
        """Wire octets so far, stuffing and terminator not counted."""
        return self._lines.octets

    def feed(self, chunk: bytes) -> bytes:
        """Return what the next bytes of the message are on the wire.

        Args:
            chunk: the next bytes as stored, any number of them; ignored when `done`.
        """
        if self.done:
            return b""
        text = self._lines.feed(chunk)
        if self._top is not None:
            text = self._cut(text, self._top)
        if self._header is not None:
            text = self._header.feed(text)
        return self._stuffed(text)

    def _stuffed(self, text: bytes) -> bytes:
        if not text:
            return text
        # Looking for three octets from the end is twice as fast as replacing two, and mostly there are none. The CR
        # of a line end at the very beginning may have gone out before.
        dotted = text.rfind(b"\r\n.") >= 0 or text.startswith(b"\n.")
        stuffed = text.replace(b"\n.", b"\n..") if dotted else text
        if self._line_start and text.startswith(b"."):
            stuffed = b"." + stuffed
        self._line_start = text.endswith(b"\n")
        return stuffed

    def finish(self) -> bytes:
        """Return the end of the reply: a line end if the last line has none, and the terminator.

        Later calls return nothing.
        """
        if self._finished:
            return b""
        self._finished = self.done = True
        held = b"" if self._header is None else self._stuffed(self._header.finish())
        if self._line_start:
            return held + b".\r\n"
        self._lines.octets += 2
        return held + b"\r\n.\r\n"

    def _cut(self, text: bytes, wanted: int) -> bytes:
        """Return the part of `text` that is headers, blank line or one of `wanted` more body lines."""
        body = 0
        if self._tail is not None:
            seen = self._tail + text
            blank = seen.find(_BLANK)
            if blank < 0:
                self._tail = seen[-3:]
                return text
            body = blank + len(_BLANK) - len(self._tail)
            self._tail = None
        ends = text.count(b"\n", body)
        if ends < wanted:
            self._top = wanted - ends
            return text
        self.done = True
        end = len(text) - len(text[body:].split(b"\n", wanted)[-1]) if wanted else body
        self._lines.octets -= len(text) - end
        return text[:end]


class WireOctets:
    """Count the octets a stored message has on the wire, without making them: the size that LIST gives.

    Attributes:
        octets: the count so far; a last line without an end is counted with the two octets that
            :meth:`WireLines.finish` adds for it.
    """

    __slots__ = ("_after_cr", "_counted", "_open")

    def __init__(self) -> None:
        self._after_cr = False
        self._counted = 0
        self._open = False

    def feed(self, chunk: bytes) -> None:
        """Count the next bytes of the message.

        Args:
            chunk: the next bytes as stored, any number of them.
        """
        if not chunk:
            return
        bare = chunk.count(b"\n")
        if b"\r" in chunk:
            bare -= chunk.count(b"\r\n")
        if self._after_cr and chunk.startswith(b"\n"):
            bare -= 1
        self._after_cr = chunk.endswith(b"\r")
        self._open = not chunk.endswith(b"\n")
        self._counted += len(chunk) + bare

    @property
    def octets(self) -> int:
        """The octets on the wire of all that was fed, taken as a whole message."""
        return self._counted + (2 if self._open else 0)

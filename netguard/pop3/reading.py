"""One message on its way out, a chunk at a time: RETR and TOP."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from netguard.page_cache import read_at_hand
from netguard.pop3.mailbox_errors import MailboxTrouble
from netguard.pop3.maildir import CHUNK
from netguard.pop3.slices import InThread, shielded

if TYPE_CHECKING:
    from collections.abc import Callable

    from netguard.wire.multiline import WireLines

_SHUT = -1

IN_A_ROW = 7
"""Messages that are opened, and pieces that are read, without a thread before the reactor gets a turn for others."""


class Reading:
    """A message that is being sent. It holds one descriptor, and one chunk at most.

    Args:
        descriptor: the open file, which this object closes, once, at the end of the message or at
            :meth:`close`.
        length: bytes to read: the file's size when it was opened, so that a file that grows has an end.
        form: what the message becomes on the wire.
        in_thread: runs each read.
        on_whole: is told, in the reactor's thread, the octets on the wire once a whole message was read.
        chunk: bytes to read at a time.
        at_hand: reads on in a descriptor without waiting; None if that is impossible.
    """

    def __init__(
        self,
        descriptor: int,
        length: int,
        form: WireLines,
        in_thread: InThread,
        on_whole: Callable[[int], object],
        chunk: int = CHUNK,
        at_hand: Callable[[int, int], bytes | None] = read_at_hand,
    ) -> None:
        self._descriptor = descriptor
        self._left = length
        self._whole = form.whole
        self._encoder = form
        self._in_thread = in_thread
        self._on_whole = on_whole
        self._chunk = chunk
        self._at_hand = at_hand
        self._in_a_row = 0
        self._ready: bytes | None = None
        self._busy = False
        self._ended = False
        self._closed = False

    def prefetch(self) -> None:
        """Read the first chunk. For the thread that opened the file: most messages then need no second visit.

        Raises:
            MailboxTrouble: the file cannot be read; it is closed then.
        """
        try:
            self._ready = self._read()
        except OSError as error:
            self._shut()
            raise MailboxTrouble(f"a message cannot be read: {error}") from error
        if self._ended:
            self._shut()

    def settle(self) -> None:
        """Tell `on_whole`, if the message is known by now. For the reactor's thread."""
        if self._ended and self._whole:
            self._whole = False
            self._on_whole(self._encoder.octets)

    def next(self) -> Deferred[bytes]:
        """Return the next piece of the reply, ready for the wire; the last one ends with the terminator.

        Returns:
            bytes, empty after the last piece or when the reading was closed. Fails with MailboxTrouble when
            the file cannot be read on. Cancelling it is safe.

        Raises:
            RuntimeError: the previous piece is still awaited.
        """
        if self._busy:
            raise RuntimeError("the previous piece is still being read")
        ready, self._ready = self._ready, None
        if ready is not None:
            return succeed(ready)
        if self._descriptor == _SHUT:
            return succeed(b"")
        ready = self._read_at_hand()
        if ready:
            return succeed(ready)
        self._in_a_row = 0
        self._busy = True
        return shielded(self._in_thread(self._read).addBoth(self._after_read))

    def close(self) -> None:
        """End the reading. A piece that is being read is dropped, and the file closed after it."""
        self._closed = True
        self._ready = None
        if not self._busy:
            self._shut()

    def _read(self) -> bytes:
        """Read until there is something to send, or the end is reached; runs in a thread."""
        out = b""
        while not out:
            out = self._encode(os.read(self._descriptor, min(self._left, self._chunk)))
        return out

    def _read_at_hand(self) -> bytes | None:
        """The same without a thread, if that needs no waiting and it is not others' turn."""
        self._in_a_row += 1
        data = self._at_hand(self._descriptor, min(self._left, self._chunk)) if self._in_a_row <= IN_A_ROW else None
        if not data:
            return None
        out = self._encode(data)
        if self._ended:
            self._shut()
            self.settle()
        return out

    def _encode(self, data: bytes) -> bytes:
        """What was read, as it goes on the wire; nothing read is the end."""
        self._left -= len(data)
        out = self._encoder.feed(data)
        if not data or not self._left or self._encoder.done:
            self._ended = True
            out += self._encoder.finish()
        return out

    def _after_read(self, result: bytes | Failure) -> bytes | Failure:
        """Take over what a thread has read."""
        self._busy = False
        if isinstance(result, Failure) or self._ended or self._closed:
            self._shut()
        if self._closed:
            return b""
        if isinstance(result, Failure):
            result.trap(OSError)
            return Failure(MailboxTrouble(f"a message cannot be read on: {result.value}"))
        self.settle()
        return result

    def _shut(self) -> None:
        """Close the file, once."""
        descriptor, self._descriptor = self._descriptor, _SHUT
        if descriptor != _SHUT:
            os.close(descriptor)

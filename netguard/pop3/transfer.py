"""One message on its way to a client: a chunk is read when the one before it was taken, and not earlier."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from netguard.pop3.mailbox_errors import MailGone
from netguard.wire.pop3_events import MESSAGE_FOLLOWS

if TYPE_CHECKING:
    from collections.abc import Callable

    from netguard.pop3.interface import Mailbox, Reading
    from netguard.pop3.outlet import Outlet
    from netguard.wire.pop3_events import Fetch


class Outcome(Enum):
    """How the sending of a message ended."""

    SENT = "sent whole"
    GONE = "nothing sent, since the message is gone"
    UNREADABLE = "nothing sent, since the message cannot be read"
    BROKEN = "broke off"
    UNWANTED = "nobody takes it any more"


class Transfer:
    """The sending of one message.

    Args:
        outlet: where it goes.
        trouble: told what was being done when an exception (the one being handled) came.
    """

    def __init__(self, outlet: Outlet, trouble: Callable[[str], None]) -> None:
        self._outlet = outlet
        self._trouble = trouble
        self._reading: Reading | None = None
        self._stopped = False

    async def run(self, mailbox: Mailbox, request: Fetch) -> Outcome:
        """Send it; never fails.

        Args:
            mailbox: where it is.
            request: which it is, and how much of it.
        """
        begun = False
        try:
            self._reading = reading = await mailbox.read(request.index, request.top, utf8=request.utf8)
            chunk = b"" if self._stopped else await reading.next()
            if not self._stopped:
                self._outlet.put(MESSAGE_FOLLOWS)
                begun = True
            while chunk and not self._stopped:
                self._outlet.put(chunk)
                chunk = await reading.next() if await self._outlet.room() else b""
        except MailGone:
            return Outcome.BROKEN if begun else Outcome.GONE
        except Exception:  # noqa: BLE001 - a file system may fail in any way; the session then says so
            if not self._stopped:
                self._trouble("reading a message")
            return Outcome.BROKEN if begun else Outcome.UNREADABLE
        else:
            return Outcome.UNWANTED if self._stopped else Outcome.SENT
        finally:
            self.stop()

    def stop(self) -> None:
        """Read no more; harmless at any time."""
        self._stopped = True
        if self._reading is not None:
            self._reading.close()

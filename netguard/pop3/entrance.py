"""The logins of one connection: who is asked what, when a refusal may be known, and who hears of it.

The rules of this file:

* An unknown user, a wrong secret, a name that nobody can have, and accounts that cannot be asked are answered at the
  same moment, a fixed time after the line that was one too many. If finding out took longer, at the next multiple
  of it.
* A guard hears of a failed login when its client may: the time of a penalty is an answer, too. It hears of it even
  when the client has gone away without waiting.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from netguard.application import connection_of
from netguard.pop3.attempt import Attempt
from netguard.pop3.login import Door, Entered, Refused
from netguard.wire.pop3_events import LOGINS, Consult
from netguard.wire.sasl import CheckToken

if TYPE_CHECKING:
    from collections.abc import Callable

    from netguard.pop3.settings import Settings
    from netguard.wire.pop3 import Pop3Machine
    from netguard.wire.pop3_events import Event, Login


class Entrance:
    """Where the client of one connection logs in.

    Args:
        settings: what all sessions share.
        transport: that of the connection.
        machine: the session's.
        stamp: the timestamp of the greeting.
        trouble: told what was being done when an exception (the one being handled) came.

    Attributes:
        denied: how many logins failed.
        claimed: a pseudonym for the last name that was refused, or None.
    """

    __slots__ = (
        *("_attempt", "_delay", "_door", "_gone", "_guarded", "_identities", "_machine", "_settings", "_stamp"),
        *("claimed", "denied"),
    )

    def __init__(
        self,
        settings: Settings,
        transport: object,
        machine: Pop3Machine,
        stamp: bytes,
        trouble: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._guarded = connection_of(transport)  # which is not to be found after its end
        self._machine = machine
        self._stamp = stamp
        self._identities = partial(settings.terms.identities, transport)
        self._door = Door(settings, trouble)
        self._attempt = Attempt()
        self._delay: Deferred[None] | None = None
        self._gone = False
        self.denied = 0
        self.claimed: str | None = None

    async def enter(self, login: Login) -> Entered | list[Event]:
        """Have a login decided.

        Args:
            login: what the machine asks for.

        Returns:
            Who is in, with a mailbox, to be given back if the client has gone; or what to go on with if it has not.
        """
        began = self._settings.reactor.seconds()
        while True:
            self._attempt = Attempt.of(login) or self._attempt
            if not isinstance(login, Consult):
                result = await self._door.enter(login, self._stamp, lambda: not self._gone)
                break
            found = await self._door.consult(login.question, self._identities)
            if isinstance(found, Refused):
                result = found
                break
            if found.answer is None and isinstance(login.question, CheckToken):
                # RFC 7628 tells the client before it owns up to its failure, so this is the moment of a refusal.
                await self._hold_back(began)
                self._blame()
            events = self._machine.answered(found.answer)
            first = events[0]
            if not isinstance(first, LOGINS):
                return events
            login = first
        if isinstance(result, Entered):
            return result
        await self._refuse(result, began)
        return [] if self._gone else self._machine.denied(result.denial)

    async def _refuse(self, refused: Refused, began: float) -> None:
        """Let the client wait until it may know, then tell the guards."""
        self.denied += 1
        self.claimed = self._attempt.pseudonym(self._settings.key.reveal())
        if not refused.at_once:
            await self._hold_back(began)
        if refused.guessed:
            self._blame()

    def _blame(self) -> None:
        """Tell the guards. The same name with the same secret counts once: a mail program that knows no better."""
        if self._guarded is not None:
            self._guarded.misdeed("failed-login", once=self._attempt.token(self._settings.key.reveal()))

    async def _hold_back(self, began: float) -> None:
        settings = self._settings
        await self._wait(seconds_left(settings.reactor.seconds() - began, settings.terms.answer_failures_after))

    async def _wait(self, seconds: float) -> None:
        if seconds > 0 and not self._gone:
            self._delay = Deferred()
            alarm = self._settings.reactor.callLater(seconds, self._delay.callback, None)
            await self._delay
            self._delay = None
            if alarm.active():
                alarm.cancel()

    def close(self) -> None:
        """The session is over: nobody waits any more."""
        self._gone = True
        if self._delay is not None:
            self._delay.callback(None)  # not cancelled: an exception holds the frames that it went through


def seconds_left(elapsed: float, period: float) -> float:
    """How long to wait until the next multiple of a period.

    Args:
        elapsed: seconds since the command came.
        period: seconds; 0 for no wait at all.
    """
    return period - elapsed % period if period > 0 else 0.0

"""One connection to Redis: commands go out together, their replies come in together, and what is wrong ends it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from netguard.fleet.ledger import LONGEST, MOST, LedgerError
from netguard.tls_failure import words
from netguard.wire.resp import NoRedis, Refusal, Reply, Resp

if TYPE_CHECKING:
    from netguard.fleet.redis_url import RedisURL

_LONGEST_TEXT = 160
_CODES = frozenset((b"ERR", b"LOADING", b"NOAUTH", b"NOPERM", b"WRONGPASS", b"MASTERDOWN", b"MISCONF", b"READONLY"))
"""What may be repeated of an answer to a password; servers repeat in an error what they were sent."""


class Link(Protocol):
    """A connection.

    Attributes:
        lost: fires when it is of no use any more, before whoever waits is told.
    """

    def __init__(self) -> None:
        self.lost: Deferred[None] = Deferred()
        self._wire = Resp(MOST, LONGEST)
        self._replies: list[Reply] = []
        self._asked: Deferred[list[Reply]] | None = None
        self._why: str | None = None
        self._url: RedisURL | None = None

    def log_in(self, url: RedisURL) -> Deferred[object]:
        """Say who we are, and which database is meant.

        Args:
            url: has it.

        Returns:
            Fires when that was accepted, or LedgerError.
        """
        commands: list[Sequence[bytes]] = []
        if url.secret:
            commands.append((b"AUTH", *([url.user.encode()] if url.user else []), url.secret.reveal()))
        if url.database:
            commands.append((b"SELECT", b"%d" % url.database))

        def done(replies: object) -> object:
            self._url = url
            return replies

        return self.ask(commands).addCallback(done) if commands else succeed(done(None))

    def ask(self, commands: Sequence[Sequence[bytes]]) -> Deferred[list[Reply]]:
        """Send commands.

        Args:
            commands: each the words of one.

        Returns:
            Their replies, in order; LedgerError when one of them was refused, or nothing more will come.
        """
        asked: Deferred[list[Reply]] = Deferred()
        self._asked = asked
        self._replies = []
        if self.transport is None or self._why is not None:
            self._fail(self._why or "the connection is over")
        else:
            self.transport.write(self._wire.send(*commands))
        return asked

    def end(self) -> None:
        """Abort."""
        self._abort("the connection was given up")

    def dataReceived(self, data: bytes) -> None:
        """Take replies."""
        if self._why is not None:
            return
        try:
            self._replies += self._wire.receive(data)
        except NoRedis as why:
            self._abort(f"what answers is no Redis: {why}")
            return
        if self._asked is not None and not self._wire.owed:
            refused = next((each for each in self._replies if isinstance(each, Refusal)), None)
            if refused is not None:
                self._abort(f"it refuses: {self._told(refused.text)}")
                return
            asked, self._asked = self._asked, None
            asked.callback(self._replies)

    def _told(self, text: bytes) -> str:
        """What may be repeated of a refusal."""
        code = text.partition(b" ")[0]
        if self._url is None or (self._url.secret and self._url.secret.reveal() in text):
            return code.decode() if code in _CODES else "for a reason that is not repeated here"
        return text[:_LONGEST_TEXT].decode("ascii", "backslashreplace")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is over."""
        self._fail(f"the connection is over: {words(cast('BaseException', reason.value))}")

    def _abort(self, why: str) -> None:
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]
        self._fail(why)

    def _fail(self, why: str) -> None:
        self._why = self._why or why
        if not self.lost.called:
            self.lost.callback(None)
        asked, self._asked = self._asked, None
        if asked is not None:
            asked.errback(Failure(LedgerError(self._why)))

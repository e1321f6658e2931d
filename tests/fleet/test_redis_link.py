"""What is promised of a connection to Redis: what is wrong ends it, with one line, and without the password."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from netguard.fleet.ledger import LedgerError
from netguard.fleet.redis_link import Link
from netguard.fleet.redis_url import RedisURL
from netguard.wire.resp import Reply

SECRET = "hunter2"
URL = RedisURL.parse(f"redis://guard:{SECRET}@127.0.0.1/3")
BARE = RedisURL.parse("redis://127.0.0.1")


class Wire(StringTransport):
    """A transport that can abort."""

    aborted = False

    def abortConnection(self) -> None:
        """Note it."""
        self.aborted = True


class Talk:
    """A link, and what became of what it was asked."""

    def __init__(self) -> None:
        self.link = Link()
        self.wire = Wire()
        self.link.makeConnection(self.wire)
        self.got: Any = None
        self.why: str | None = None

    def asks(self, *commands: tuple[bytes, ...]) -> Talk:
        """Ask."""
        self.link.ask(commands).addCallbacks(self._got, self._failed)
        return self

    def logs_in(self, url: RedisURL = URL) -> Talk:
        """Log in."""
        self.link.log_in(url).addCallbacks(self._got, self._failed)
        return self

    def hears(self, octets: bytes) -> Talk:
        """The server answers."""
        self.link.dataReceived(octets)
        return self

    def _got(self, replies: list[Reply]) -> None:
        self.got = replies

    def _failed(self, why: Failure) -> None:
        assert why.check(LedgerError)
        self.why = str(why.value)


def test_replies_come_together() -> None:
    """When all are there; then the next can be asked for."""
    talk = Talk().asks((b"PING",), (b"GET", b"a"))
    assert talk.hears(b"+PONG\r\n$1\r\n").got is None
    assert talk.hears(b"x\r\n").got == [b"PONG", b"x"]
    talk.wire.clear()
    assert talk.asks((b"PING",)).hears(b"+PONG\r\n").got == [b"PONG"]
    assert talk.wire.value() == b"*1\r\n$4\r\nPING\r\n"
    assert not talk.wire.aborted


def test_who_we_are_is_said_first() -> None:
    """And the database."""
    talk = Talk().logs_in()
    assert talk.wire.value() == b"*3\r\n$4\r\nAUTH\r\n$5\r\nguard\r\n$7\r\nhunter2\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"
    assert talk.hears(b"+OK\r\n+OK\r\n").got == [b"OK", b"OK"]
    default = Talk().logs_in(RedisURL.parse("redis://:pw@127.0.0.1"))
    assert default.wire.value() == b"*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n"
    nobody = Talk().logs_in(BARE)
    assert nobody.wire.value() == b""
    assert nobody.why is None


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"-WRONGPASS invalid username-password pair\r\n+OK\r\n", "it refuses: WRONGPASS"),
        (b"+OK\r\n-NOPERM this user has no permissions\r\n", "it refuses: NOPERM"),
        (b"-ERR unknown command 'AUTH', with args beginning with: 'guard' 'hunter2'\r\n+OK\r\n", "it refuses: ERR"),
        (b"-hunter2\r\n+OK\r\n", "it refuses: for a reason that is not repeated here"),
    ],
)
def test_of_a_refused_login_only_the_code_is_told(octets: bytes, why: str) -> None:
    """Servers repeat in an error what they were sent."""
    talk = Talk().logs_in().hears(octets)
    assert talk.why == why
    assert talk.wire.aborted


@pytest.mark.parametrize("url", [URL, BARE])
def test_other_refusals_are_told_in_their_words_but_for_the_password(url: RedisURL) -> None:
    """Bounded and printable."""
    for octets, why in (
        (b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", "OOM command not allowed"),
        (b"-ERR \xff\x1b\r\n", "ERR \\xff"),
    ):
        talk = Talk().logs_in(url).hears(b"+OK\r\n+OK\r\n" if url.secret else b"").asks((b"PING",)).hears(octets)
        assert (talk.why or "").startswith(f"it refuses: {why}")
    talk = Talk().logs_in().hears(b"+OK\r\n+OK\r\n").asks((b"PING",)).hears(b"-ERR hunter2 x\r\n")
    assert talk.why == "it refuses: ERR"
    talk = Talk().logs_in(BARE).asks((b"PING",)).hears(b"-" + b"x" * 900 + b"\r\n")
    assert len(talk.why or "") < 200


@pytest.mark.parametrize(
    "octets", [b"HTTP/1.1 200 OK\r\n", b"220 mail.example ESMTP\r\n", b"+OK\r\n+OK\r\n", b"!" * 99]
)
def test_what_is_no_redis_is_cut(octets: bytes) -> None:
    """What comes behind it is not looked at."""
    talk = Talk().asks((b"PING",)).hears(octets)
    assert (talk.why or "").startswith("what answers is no Redis: ")
    assert talk.wire.aborted
    talk.hears(octets)
    assert talk.asks((b"PING",)).got is None


def test_who_speaks_unasked_is_cut() -> None:
    """As a server of another protocol does."""
    talk = Talk().hears(b"+hello\r\n")
    assert talk.wire.aborted
    assert talk.asks((b"PING",)).why == "what answers is no Redis: something came that was not asked for"


def test_the_end_of_a_connection_is_told() -> None:
    """To whoever waits, whoever waits for it, and whoever asks later."""
    talk = Talk().asks((b"PING",))
    lost: list[object] = []
    talk.link.lost.addCallback(lost.append)
    talk.link.connectionLost(Failure(ConnectionLost()))
    assert talk.why is not None
    assert talk.why.startswith("the connection is over: ")
    assert lost == [None]
    assert Talk().link.lost.called is False
    talk.why = None
    assert talk.asks((b"PING",)).why is not None


def test_it_can_be_given_up() -> None:
    """Whoever waits is told; one that never connected has nothing to abort."""
    talk = Talk().asks((b"PING",))
    talk.link.end()
    assert (talk.why, talk.wire.aborted) == ("the connection was given up", True)
    alone = Link()
    alone.end()
    assert alone.transport is None

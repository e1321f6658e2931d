"""A POP3 session: logins, transfers, deletion, backpressure, and how it ends."""

from __future__ import annotations

import weakref
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.interfaces import IPushProducer

from netguard.guards.login_timeout import LoginTimeout
from netguard.testing import connect
from netguard.wire import pop3, pop3_authorization

if TYPE_CHECKING:
    from netguard.guard import Misdeed
    from tests.pop3.doubles import Client, World

REFUSED = b"-ERR [AUTH] user unknown or secret wrong\r\n"
MESSAGE = b"+OK message follows\r\nSubject: x\r\n\r\nbody\r\n.\r\n"


# Before login


def test_greeting(world: World) -> None:
    """The greeting is written at once, with a timestamp that is new for each connection."""
    first, second = world.connect(), world.connect()
    assert first.greeting.startswith(b"+OK ")
    assert first.greeting.endswith(b"@mail.example>\r\n")
    assert first.stamp != second.stamp


def test_no_delay(world: World) -> None:
    """Small segments leave at once, where the transport has that."""
    assert world.connect().wire.no_delay


@pytest.mark.parametrize("problem", [OSError("not on a UNIX socket"), None])
def test_transport_without_no_delay(world: World, problem: OSError | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transport that has no such option, or refuses it, serves as well."""
    wire_type = type(world.connect().wire)

    def refuse(_: object, enabled: bool) -> None:
        raise OSError("not on a UNIX socket")

    if problem is None:
        monkeypatch.delattr(wire_type, "setTcpNoDelay")
    else:
        monkeypatch.setattr(wire_type, "setTcpNoDelay", refuse)
    world.enter()


def test_stls_is_offered_where_it_works(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """STLS needs a context and a transport that can switch."""
    assert b"STLS" not in world.connect().say(b"CAPA")
    world.tls = object()
    client = world.connect()
    assert b"STLS" in client.say(b"CAPA")
    monkeypatch.delattr(type(client.wire), "startTLS")
    assert b"STLS" not in world.connect().say(b"CAPA")


def test_apop_login(world: World) -> None:
    """The right digest opens the mailbox of that account, and the peer is past its login."""
    client = world.connect()
    assert client.say(client.apop()) == b"+OK logged in\r\n"
    assert world.opener.opened == ["alice"]
    assert client.session.record.user == "alice"
    assert client.session.record.mechanism == "apop"


def test_password_login_inside_tls(world: World) -> None:
    """Inside TLS, which is judged by the transport, USER and PASS log in."""
    client = world.connect(secure=True)
    assert client.say(b"USER alice", b"PASS wonder land") == b"+OK and the password\r\n+OK logged in\r\n"
    assert client.session.record.mechanism == "password"


def test_password_is_refused_in_clear(world: World) -> None:
    """Outside TLS a password is neither asked for nor checked."""
    client = world.connect()
    said = client.say(b"USER alice", b"PASS wonder land")
    assert said.count(b"-ERR [SYS/PERM] ") == 2
    assert world.accounts.asked == []


def test_stls(world: World) -> None:
    """STLS writes its answer in clear, switches, and then takes a password."""
    world.tls = object()
    client = world.connect()
    assert client.say(b"STLS") == b"+OK begin TLS\r\n"
    assert client.wire.contexts == [world.tls]
    assert client.say(b"USER alice", b"PASS wonder land").endswith(b"+OK logged in\r\n")


def test_data_behind_stls_is_cut(world: World) -> None:
    """Data behind STLS is reported and ends the connection; TLS is not started and nothing is obeyed."""
    world.tls = object()
    client = world.connect()
    assert client.say(b"STLS", b"CAPA") == b""
    assert client.wire.disconnecting
    assert client.wire.contexts == []
    assert [each["problem"] for each in world.reported("malformed")] == ["data behind STLS"]


# Failed logins


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        (b"alice", b"wrong"),
        (b"nobody", b"wonder land"),
        (b"../alice", b"x"),
        (b".alice", b"x"),
        (b"a/b", b"x"),
        (b"\xff\xfe", b"x"),
        ("a\u202eb".encode(), b"x"),
        (b"a\x07", b"x"),
        (b"a" * 65, b"x"),
    ],
)
def test_failures_are_alike(world: World, name: bytes, secret: bytes) -> None:
    """A wrong secret, an unknown user and an impossible name get the same text at the same moment."""
    client = world.connect()
    assert client.say(client.apop(name, secret)) == b""
    assert client.wait(1.999) == b""
    assert client.wait(0.001) == REFUSED
    assert len(world.accounts.asked) == 1
    assert world.opener.opened == []
    assert not client.wire.disconnecting


@pytest.mark.parametrize("name", [b"../alice", b"a/b", b".x", b"\xff", b"a\x01b", b"x" * 65])
def test_no_impossible_name_reaches_a_mailbox(world: World, name: bytes) -> None:
    """Even if the accounts know such a name, no mailbox is looked for under it."""
    world.accounts.anybody = True
    client = world.connect()
    client.say(client.apop(name))
    assert client.wait(2) == REFUSED
    assert world.opener.opened == []


def test_slow_check_is_answered_at_the_next_multiple(world: World) -> None:
    """A check that took longer than the fixed time does not show how long it took."""
    world.held.slow = True
    client = world.connect()
    client.say(client.apop(b"nobody"))
    client.wait(2.7)
    world.held.go()
    assert client.wait(1.29) == b""
    assert client.wait(0.02) == REFUSED


def test_failures_can_be_answered_at_once(world: World) -> None:
    """With a time of 0 a failed login is answered as soon as it is known."""
    world.failures_after = 0.0
    client = world.connect()
    assert client.say(client.apop(b"nobody")) == REFUSED


def test_failed_login_swallows_nothing(world: World) -> None:
    """Commands behind a failed login are answered after it, in order."""
    client = world.connect(secure=True)
    assert client.say(b"USER alice", b"PASS x", b"CAPA", b"USER alice", b"PASS wonder land", b"STAT") == (
        b"+OK and the password\r\n"
    )
    said = client.wait(2)
    assert said.startswith(REFUSED + b"+OK capabilities")
    assert said.endswith(b"+OK and the password\r\n+OK logged in\r\n+OK 3 350\r\n")


def test_failed_logins_are_bounded(world: World) -> None:
    """After three failed logins the connection ends."""
    client = world.connect(secure=True)
    for _ in range(pop3_authorization.MAX_DENIED):
        assert not client.wire.disconnecting
        client.say(b"USER alice", b"PASS x")
        assert client.wait(2) == REFUSED
    assert client.wire.disconnecting


# What guards are told


class Guarded:
    """A session under a guard, inside TLS, and the misdeeds that its service hears of."""

    def __init__(self, world: World) -> None:
        self.misdeeds: list[Misdeed] = []
        factory = LoginTimeout("1h").wrap(world.factory(), world.clock)
        factory.service.when_misdeed(lambda _, each: self.misdeeds.append(each))
        self.peer = connect(factory)
        assert self.peer.transport is not None
        self.peer.transport.startTLS(None)

    def say(self, *commands: bytes) -> None:
        """Send command lines in one segment."""
        self.peer.feed(b"".join(command + b"\r\n" for command in commands))

    def told(self) -> list[tuple[str, float]]:
        """The misdeeds so far: their kinds and weights."""
        return [(each.kind, each.weight) for each in self.misdeeds]


def test_a_failed_login_is_a_misdeed(world: World) -> None:
    """Once its answer is known and no earlier; a penalty would tell how long the check took."""
    session = Guarded(world)
    session.say(b"USER alice", b"PASS x")
    session.peer.advance(1.9)
    assert session.told() == []
    session.peer.advance(0.2)
    assert session.told() == [("failed-login", 1.0)]


def test_a_client_that_does_not_wait_for_its_answer_is_told_of_all_the_same(world: World) -> None:
    """Guessing without looking is guessing; whether it goes during the check or after it."""
    for slow in (False, True):
        world.held.slow = slow
        session = Guarded(world)
        session.say(b"USER alice", b"PASS x")
        session.peer.vanish()
        world.held.go_all()
        assert session.told() == [("failed-login", 1.0)]


TRIED = [(b"alice", b"x"), (b"alice", b"x"), (b"alice", b"y"), (b"bob", b"x"), (b"alic", b"ex")]


def _tokens(world: World) -> list[bytes | None]:
    """What each failed login counts once by."""
    tokens = []
    for name, password in TRIED:
        session = Guarded(world)
        session.say(b"USER " + name, b"PASS " + password)
        session.peer.advance(2.1)
        tokens.append(session.misdeeds[0].once)
    return tokens


def test_the_same_name_and_password_are_the_same_token(world: World) -> None:
    """Where the one ends and the other begins counts, too."""
    factory = world.factory()
    world.factory = lambda: factory  # type: ignore[method-assign]
    tokens = _tokens(world)
    assert tokens[0] == tokens[1] is not None
    assert len(set(tokens)) == 4


def test_nothing_can_be_read_from_a_token(world: World) -> None:
    """It is made with a key that each factory has of its own."""
    assert len({*_tokens(world), *_tokens(world)}) == 2 * len(TRIED)


def test_failed_apop_logins_count_each(world: World) -> None:
    """The same secret makes another digest for each greeting."""
    session = Guarded(world)
    session.say(b"APOP alice " + b"0" * 32)
    session.peer.advance(2.1)
    assert [(each.kind, each.once) for each in session.misdeeds] == [("failed-login", None)]


def test_what_is_not_the_clients_fault_is_no_misdeed(world: World) -> None:
    """Trouble of ours, a mailbox in use, a client that goes while its right password is checked, a right login."""
    world.opener.in_use.add("bob")
    session = Guarded(world)
    session.say(b"USER bob", b"PASS builder")
    world.accounts.failure = RuntimeError("out of order")
    session.say(b"USER alice", b"PASS wonder land")
    session.peer.advance(2.1)
    world.accounts.failure = None
    session.say(b"USER alice", b"PASS wonder land", b"STAT")
    session.peer.vanish()
    world.held.slow = True
    gone = Guarded(world)
    gone.say(b"USER alice", b"PASS wonder land")
    gone.peer.vanish()
    world.held.go_all()
    assert session.told() == gone.told() == []


def test_what_is_malformed_is_a_small_misdeed(world: World) -> None:
    """Each time; a client that only tries a command that is not there has not done much."""
    session = Guarded(world)
    session.say(b"EHLO there", b"\x00\xff")
    assert session.told() == [("malformed", 0.2)] * 2


def test_second_apop_is_not_checked(world: World) -> None:
    """The timestamp of a greeting is good for one attempt."""
    client = world.connect()
    client.say(client.apop(b"alice", b"wrong"))
    client.wait(2)
    assert client.say(client.apop()).startswith(b"-ERR APOP can be tried once")
    assert len(world.accounts.asked) == 1


def test_accounts_in_trouble(world: World) -> None:
    """When the accounts cannot be asked, the answer says so, at the moment of any failure; the log says why."""
    world.accounts.failure = ConnectionError("disk\n gone")
    client = world.connect()
    assert client.say(client.apop()) == b""
    assert client.wait(2) == b"-ERR [SYS/TEMP] out of order, try again later\r\n"
    (error,) = world.reported("error")
    assert error["doing"] == "checking credentials"
    assert error["problem"] == "ConnectionError: disk\\x0a gone"


def test_mailbox_in_use(world: World) -> None:
    """A second session of a user is refused until the first has ended; other users are let in."""
    first = world.enter()
    second = world.connect()
    assert second.say(second.apop()) == b"-ERR [IN-USE] another session holds this mailbox\r\n"
    third = world.connect()
    assert third.say(third.apop(b"bob", b"builder")) == b"+OK logged in\r\n"
    assert first.say(b"QUIT") == b"+OK bye\r\n"
    fourth = world.connect()
    assert fourth.say(fourth.apop()) == b"+OK logged in\r\n"


def test_mailbox_in_trouble(world: World) -> None:
    """A mailbox that cannot be opened is told without its reason, which is logged in one bounded line."""
    world.opener.failure = ValueError("/secret/path " + "x" * 10_000)
    client = world.connect()
    assert client.say(client.apop()) == b"-ERR [SYS/TEMP] out of order, try again later\r\n"
    (error,) = world.reported("error")
    assert error["doing"] == "opening a mailbox"
    assert "\n" not in str(error["problem"])
    assert len(str(error["problem"])) < 300


def test_disconnect_while_credentials_are_checked(world: World) -> None:
    """No mailbox is opened for a client that has gone."""
    world.held.slow = True
    client = world.connect()
    client.say(client.apop())
    client.go_away()
    world.held.go_all()
    assert world.opener.opened == []
    assert world.clock.getDelayedCalls() == []


def test_disconnect_while_the_mailbox_opens(world: World) -> None:
    """A mailbox that was opened for a client that has gone is given back at once, once."""
    world.held.slow = True
    client = world.connect()
    client.say(client.apop())
    world.held.go()
    client.go_away()
    assert world.mailbox.released == 0
    world.held.go()
    assert world.mailbox.released == 1
    assert world.opener.in_use == set()


def test_disconnect_while_a_failure_waits(world: World) -> None:
    """A failed login whose client has gone leaves no timer behind."""
    client = world.connect()
    client.say(client.apop(b"nobody"))
    client.go_away()
    assert world.clock.getDelayedCalls() == []
    assert world.reported("error") == []


def test_failure_after_disconnect(world: World) -> None:
    """A check that fails after the client has gone sets no timer."""
    world.held.slow = True
    client = world.connect()
    client.say(client.apop(b"nobody"))
    client.go_away()
    world.held.go()
    assert world.clock.getDelayedCalls() == []


@pytest.mark.parametrize("did", [(), (b"CAPA",), (b"login",), (b"wrong",), (b"login", b"STAT", b"RETR 1", b"QUIT")])
@pytest.mark.usefixtures("no_collector")
def test_a_session_that_is_over_leaves_nothing(world: World, did: tuple[bytes, ...]) -> None:
    """Nobody has to look for what a client has sent, such as a password: it is gone with the session."""
    client = world.connect()
    for each in did:
        client.say({b"login": client.apop(), b"wrong": client.apop(b"nobody")}.get(each, each))
    session = weakref.ref(client.session)
    client.go_away()
    del client
    world.clock.advance(60)
    assert session() is None


# Transfers


def test_whole_session_in_one_segment(world: World) -> None:
    """A pipeline from login to QUIT is answered in order, in one write."""
    client = world.connect()
    client.session.dataReceived(
        b"\r\n".join([client.apop(), b"STAT", b"LIST 1", b"RETR 1", b"TOP 2 0", b"DELE 1", b"QUIT", b""])
    )
    assert len(client.wire.writes) == 1
    assert client.wire.take() == (
        b"+OK logged in\r\n+OK 3 350\r\n+OK 1 120\r\n" + MESSAGE * 2 + b"+OK deleted at QUIT\r\n+OK bye\r\n"
    )
    assert world.mailbox.reads == [(0, None), (1, 0)]
    assert world.mailbox.committed == [(0,)]
    assert world.mailbox.released == 1
    assert client.wire.disconnecting
    assert client.session.record.retrieved == 1


def test_order_is_kept_when_everything_is_slow(world: World) -> None:
    """Commands that wait behind slow ones are answered in order, each when its time has come."""
    world.held.slow = True
    client = world.connect()
    client.say(client.apop(), b"RETR 1", b"STAT", b"RETR 2", b"NOOP")
    world.held.go_all()
    assert client.wire.take() == b"+OK logged in\r\n" + MESSAGE + b"+OK 3 350\r\n" + MESSAGE + b"+OK\r\n"


def test_thousands_of_pipelined_messages(world: World) -> None:
    """Thousands of pipelined RETR and NOOP are answered in order, with no growing stack."""
    client = world.enter()
    client.session.dataReceived(b"RETR 1\r\nNOOP\r\n" * 5_000)
    said = b""
    while more := client.wire.take():
        said += more
    assert said == (MESSAGE + b"+OK\r\n") * 5_000


def test_a_reading_is_closed_at_its_end(world: World) -> None:
    """Every message that was read is closed, before anything else is obeyed."""
    client = world.enter()
    client.say(b"RETR 1", b"RETR 2")
    assert all(reading.closed for reading in world.mailbox.readings)


def test_large_message_is_read_as_it_is_taken(world: World) -> None:
    """Of a large message no more is read than the client takes, and no more is held than a chunk too many."""
    chunk = b"x" * 62 + b"\r\n"
    world.opener.mails[0].chunks = [*([chunk * 1024] * 100), b".\r\n"]
    client = world.enter()
    client.session.dataReceived(b"RETR 1\r\nNOOP\r\n")
    assert world.mailbox.readings[0].taken == 1
    said = b""
    while more := client.wire.take():
        said += more
    assert said == b"+OK message follows\r\n" + chunk * 1024 * 100 + b".\r\n+OK\r\n"
    assert client.wire.most < 3 * 65_536


@pytest.mark.parametrize("gone", [True, False])
def test_message_that_cannot_be_read(world: World, gone: bool) -> None:
    """A message that has vanished, or cannot be read, is one -ERR; the session goes on."""
    client = world.enter()
    world.mailbox.read_failure = _gone() if gone else OSError("/path")
    said = client.say(b"RETR 1", b"NOOP")
    assert said == (b"-ERR message gone\r\n" if gone else b"-ERR [SYS/TEMP] message unreadable\r\n") + b"+OK\r\n"
    assert len(world.reported("error")) == (0 if gone else 1)
    assert client.session.record.retrieved == 0


def _gone() -> Exception:
    from netguard.pop3.mailbox_errors import MailGone

    return MailGone("x")


def test_message_that_fails_at_its_beginning(world: World) -> None:
    """A message whose first chunk cannot be read is one -ERR, and closed."""
    world.opener.mails[0].chunks = [OSError("bad sector")]
    client = world.enter()
    assert client.say(b"RETR 1", b"NOOP") == b"-ERR [SYS/TEMP] message unreadable\r\n+OK\r\n"
    assert world.mailbox.readings[0].closed


@pytest.mark.parametrize("problem", ["error", "gone"])
def test_message_that_breaks_off(world: World, problem: str) -> None:
    """A message that cannot be read on ends the connection without its terminator, so that it is not believed."""
    failure = OSError("bad sector") if problem == "error" else _gone()
    world.opener.mails[0].chunks = [b"half\r\n", failure]
    client = world.enter()
    assert client.say(b"DELE 2", b"RETR 1", b"QUIT") == b"+OK deleted at QUIT\r\n+OK message follows\r\nhalf\r\n"
    assert client.wire.disconnecting
    assert world.mailbox.released == 1
    assert world.mailbox.committed == []


def test_disconnect_during_a_message(world: World) -> None:
    """When the client goes during a message, the reading is closed and the mailbox given back at once."""
    world.opener.mails[0].chunks = [b"x" * 70_000, b"y", b".\r\n"]
    client = world.enter()
    client.session.dataReceived(b"RETR 1\r\nDELE 1\r\nQUIT\r\n")
    client.go_away(clean=False)
    assert world.mailbox.readings[0].closed
    assert world.mailbox.released == 1
    assert world.mailbox.committed == []
    assert world.reported("error") == []


@pytest.mark.parametrize("steps", [0, 1])
def test_disconnect_while_a_message_is_being_read(world: World, steps: int) -> None:
    """When the client goes while a file is opened or read, what comes of it is closed and dropped."""
    client = world.enter()
    world.held.slow = True
    client.say(b"RETR 1")
    for _ in range(steps):
        world.held.go()
    client.go_away()
    assert world.mailbox.released == 1
    world.held.go_all()
    assert all(reading.closed for reading in world.mailbox.readings)
    assert client.wire.take() == b""
    assert world.reported("error") == []


def test_reading_that_fails_after_disconnect(world: World) -> None:
    """What fails for a client that has gone concerns nobody."""
    client = world.enter()
    world.held.slow = True
    world.mailbox.read_failure = OSError("x")
    client.say(b"RETR 1")
    client.go_away()
    world.held.go_all()
    assert world.reported("error") == []


# Listings


def test_large_listing_is_made_as_it_is_taken(world: World) -> None:
    """A listing of a large mailbox comes whole, and never more of it is held than the transport takes."""
    count = 20_000
    mail = world.opener.mails[0]
    world.opener.mails = [mail] * count
    client = world.enter()
    client.session.dataReceived(b"LIST\r\nNOOP\r\n")
    assert len(client.wire.value()) < 65_536 + 20_480
    said = b""
    while more := client.wire.take():
        said += more
    lines = said.split(b"\r\n")
    assert lines[1 : count + 1] == [b"%d 120" % number for number in range(1, count + 1)]
    assert lines[count + 1 :] == [b".", b"+OK", b""]
    assert client.wire.most < 65_536 + 20_480


def test_disconnect_during_a_listing(world: World) -> None:
    """When the client goes during a listing, no more of it is made."""
    world.opener.mails = [world.opener.mails[0]] * 20_000
    client = world.enter()
    client.session.dataReceived(b"UIDL\r\n")
    client.go_away()
    assert world.mailbox.released == 1
    assert b"\r\n.\r\n" not in client.wire.take()


def test_a_listing_that_fails(world: World) -> None:
    """A unique id that cannot be written ends the connection with a line in the log, not inside the listing."""
    world.opener.mails[1].uid = "\xe4"
    client = world.enter()
    assert client.say(b"UIDL") == b""
    assert client.wire.disconnecting
    assert [each["doing"] for each in world.reported("error")] == ["serving a session"]


# Backpressure


def test_commands_behind_a_blocked_message_wait_in_bounds(world: World) -> None:
    """Behind a message that the client does not take, reading stops after one chunk, and later goes on in order."""
    world.opener.mails[0].chunks = [*([b"x" * 65_536] * 3), b".\r\n"]
    client = world.enter()
    client.session.dataReceived(b"RETR 1\r\n")
    client.session.dataReceived(b"NOOP\r\n" * (pop3.ENOUGH // 6))
    before = client.wire.deaf
    client.session.dataReceived(b"NOOP\r\n" * 10_000)
    assert (before, client.wire.deaf) == (False, True)
    said = b""
    while more := client.wire.take():
        said += more
    assert said.endswith(b".\r\n" + b"+OK\r\n" * (10_000 + pop3.ENOUGH // 6))
    assert not client.wire.deaf


def test_a_transport_that_cannot_stop_is_cut(world: World) -> None:
    """When commands keep coming although reading is paused, the connection ends and nothing of it is kept."""
    world.opener.mails[0].chunks = [b"x" * 70_000, b".\r\n"]
    client = world.enter()
    client.session.dataReceived(b"RETR 1\r\n")
    for _ in range(3):
        client.session.dataReceived(b"NOOP\r\n" * 10_000)
    assert client.wire.disconnecting
    assert world.mailbox.released == 1
    assert world.reported("malformed")[0]["problem"] == "too many commands sent ahead"


def test_many_short_answers_stop_when_nobody_reads(world: World) -> None:
    """A client that asks and does not read gets about a transport's fill, and the rest when it reads."""
    client = world.enter()
    client.session.dataReceived(b"CAPA\r\n" * 10_000)
    assert client.wire.most < 65_536 + 32_768
    assert client.wire.deaf
    said = b""
    while more := client.wire.take():
        said += more
    assert said.count(b"+OK capabilities follow\r\n") == 10_000


def test_one_write_for_a_batch(world: World) -> None:
    """The answers to a batch of commands leave in few writes."""
    client = world.enter()
    client.session.dataReceived(b"NOOP\r\n" * 1_000)
    assert len(client.wire.writes) == 1


def test_the_session_is_a_streaming_producer(world: World) -> None:
    """The transport has the session's way out as its push producer, until the end."""
    client = world.enter()
    assert client.wire.streaming
    assert IPushProducer.providedBy(client.wire.producer)
    client.say(b"QUIT")
    assert client.wire.producer is None


# Deletion


@pytest.mark.parametrize("ending", [b"", b"QUIT", b"QUIT\r", b"QUIT\n", b"QUIT junk\r\n", b"RSET\r\nQUIT\r\n"])
@pytest.mark.parametrize("clean", [True, False])
def test_nothing_is_deleted_without_quit(world: World, ending: bytes, clean: bool) -> None:
    """A close, a reset, an unfinished QUIT, QUIT with junk, and RSET then QUIT delete nothing."""
    client = world.enter()
    client.send(b"DELE 1\r\n" + ending)
    client.go_away(clean=clean)
    assert world.mailbox.committed == []
    assert world.mailbox.released == 1


def test_good_bye_only_after_the_removal(world: World) -> None:
    """QUIT is answered, and the mailbox given back, only when everything is removed for good."""
    client = world.enter()
    world.held.slow = True
    assert client.say(b"DELE 3", b"DELE 1", b"QUIT", b"NOOP") == b"+OK deleted at QUIT\r\n" * 2
    assert world.mailbox.released == 0
    world.held.go()
    assert world.mailbox.committed == [(0, 2)]
    assert world.mailbox.released == 1
    assert client.wire.take() == b"+OK bye\r\n"
    assert client.session.record.deleted == 2


def test_mailbox_is_free_when_good_bye_is_said(world: World) -> None:
    """Who reads the good-bye can log in again at once."""
    client = world.enter()
    seen: list[tuple[bytes, int]] = []

    def watch(client: Client) -> None:
        write = client.wire.write

        def watched(data: bytes) -> None:
            seen.append((data, world.mailbox.released))
            write(data)

        client.wire.write = watched  # type: ignore[method-assign]

    watch(client)
    client.say(b"QUIT")
    client = world.enter()
    watch(client)
    client.session.dataReceived(b"DELE 1\r\n")
    client.session.dataReceived(b"QUIT\r\n")
    assert seen == [(b"+OK bye\r\n", 1), (b"+OK deleted at QUIT\r\n", 0), (b"+OK bye\r\n", 1)]


def test_close_behind_dele_and_quit_deletes(world: World) -> None:
    """DELE and QUIT in one segment followed by a close delete; the mailbox is given back after that, once."""
    client = world.enter()
    world.held.slow = True
    client.say(b"DELE 1", b"QUIT")
    client.go_away()
    assert world.mailbox.released == 0
    assert world.reported("session") == []
    world.held.go()
    assert world.mailbox.committed == [(0,)]
    assert world.mailbox.released == 1
    assert world.reported("session")[0]["deleted"] == 1


def test_failed_removal(world: World) -> None:
    """When some messages could not be removed, QUIT says so."""
    client = world.enter()
    world.mailbox.failed = 1
    assert client.say(b"DELE 1", b"DELE 2", b"QUIT").endswith(b"-ERR [SYS/TEMP] some deleted messages not removed\r\n")
    assert client.session.record.deleted == 1


@pytest.mark.parametrize("there", [True, False])
def test_removal_that_fails_altogether(world: World, there: bool) -> None:
    """When the removal breaks, QUIT says so, the log has the reason, and the mailbox is given back."""
    client = world.enter()
    world.mailbox.failed = OSError("read-only")
    world.held.slow = True
    client.say(b"DELE 1", b"QUIT")
    if not there:
        client.go_away()
    world.held.go()
    said = b"-ERR [SYS/TEMP] some deleted messages not removed\r\n" if there else b""
    assert client.wire.take() == said
    assert world.mailbox.released == 1
    assert [each["doing"] for each in world.reported("error")] == ["removing messages"]


def test_nothing_is_answered_after_quit(world: World) -> None:
    """What comes during and after QUIT is dropped, however much it is."""
    client = world.enter()
    world.held.slow = True
    client.say(b"DELE 1", b"QUIT")
    client.session.dataReceived(b"NOOP\r\n" * 100_000)
    world.held.go()
    assert client.wire.take() == b"+OK bye\r\n"
    assert client.say(b"NOOP") == b""


# The end


def test_a_defect_of_ours(world: World) -> None:
    """An unexpected failure is one line in the log, one answer, and the end; the mailbox is given back."""
    client = world.enter()
    world.mailbox.messages = None  # type: ignore[assignment]
    client.session._machine._phase._entries = None  # type: ignore[union-attr]
    assert client.say(b"STAT") == b"-ERR [SYS/TEMP] internal error\r\n"
    assert client.wire.disconnecting
    assert world.mailbox.released == 1
    (error,) = world.reported("error")
    assert error["doing"] == "serving a session"
    assert str(error["problem"]).startswith("TypeError: ")
    assert str(error["where"]).startswith("pop3_events.py:")


def test_a_defect_during_a_login(world: World) -> None:
    """A failure behind a login that succeeded ends in the same way."""
    world.opener.mails = None  # type: ignore[assignment]
    client = world.connect()
    assert client.say(client.apop(), b"STAT") == b"+OK logged in\r\n-ERR [SYS/TEMP] internal error\r\n"
    assert world.mailbox.released == 1


def test_a_defect_in_slow_work(world: World) -> None:
    """A failure that comes while nothing is being received ends in the same way."""
    client = world.enter()
    world.held.slow = True
    client.say(b"RETR 1", b"STAT")
    client.session._machine._phase._entries = None  # type: ignore[union-attr]
    world.held.go_all()
    assert client.wire.take().endswith(b"-ERR [SYS/TEMP] internal error\r\n")
    assert client.wire.disconnecting


def test_a_removal_outlives_the_session(world: World) -> None:
    """When a session is ended by us during a removal, the mailbox is given back after it, once."""
    client = world.enter()
    world.held.slow = True
    client.say(b"DELE 1", b"QUIT")
    client.session._close("a test")
    assert world.mailbox.released == 0
    world.held.go()
    assert world.mailbox.released == 1
    client.go_away()
    assert world.mailbox.released == 1
    assert world.reported("session")[0]["deleted"] == 1


def test_a_defect_after_the_end(world: World) -> None:
    """A failure of what was still going on when the session had ended is logged, and no more."""
    client = world.enter()
    world.held.slow = True
    client.say(b"DELE 1", b"QUIT")
    client.session._close("a test")

    def fail() -> None:
        raise ZeroDivisionError

    world.mailbox.on_release = fail
    world.held.go()
    assert [str(each["problem"])[:17] for each in world.reported("error")] == ["ZeroDivisionError"]
    assert client.wire.take() == b""


def test_bad_commands_end_the_session(world: World) -> None:
    """Too many bad commands end the connection, with their last answer."""
    client = world.connect()
    assert client.say(*[b"XXXX"] * 10) == b"-ERR unknown command\r\n" * pop3_authorization.BAD_BEFORE_LOGIN
    assert client.wire.disconnecting


@pytest.mark.parametrize(("left", "warned"), [(None, False), (10, False), (9, True), (0, True)])
def test_the_operator_is_warned_before_one_time_passwords_run_out(world: World, left: int | None, warned: bool) -> None:
    """An event at the login of who has fewer than ten, with the user's name; the client sees nothing of it."""
    world.accounts.settings["alice"] = {"otp_left": left}
    world.enter()
    told = [{"left": left, "limit": 10, "user": "alice"}] if warned else []
    assert [{key: each[key] for key in ("left", "limit", "user")} for each in world.reported("otp_low")] == told


def test_line_for_a_session(world: World) -> None:
    """One line tells what a session did."""
    client = world.enter()
    client.say(b"RETR 1", b"RETR 2", b"TOP 3 0", b"DELE 1", b"QUIT")
    world.clock.advance(1.5)
    client.go_away()
    (line,) = world.reported("session")
    assert {key: line[key] for key in line if not key.startswith("bytes")} == {
        "client.address": "192.168.1.1",
        "client.port": 54321,
        "reason": "quit",
        "duration": 1.5,
        "tls": False,
        "mechanism": "apop",
        "denied": 0,
        "retrieved": 2,
        "deleted": 1,
        "user": "alice",
    }
    assert line["bytes_in"] == len(client.apop()) + 2 + len(b"RETR 1\r\nRETR 2\r\nTOP 3 0\r\nDELE 1\r\nQUIT\r\n")
    assert line["bytes_out"] == len(client.greeting) + len(b"+OK logged in\r\n") + len(MESSAGE) * 3 + 21 + 9


@pytest.mark.parametrize(("clean", "reason"), [(True, "ConnectionDone"), (False, "ConnectionLost")])
def test_line_for_a_session_that_broke(world: World, clean: bool, reason: str) -> None:
    """A session that did not end by itself has the reason of its transport."""
    client = world.connect(secure=True)
    client.say(b"CAPA")
    client.go_away(clean=clean)
    (line,) = world.reported("session")
    assert (line["reason"], line["tls"], line["mechanism"]) == (reason, True, "-")


def test_no_secret_and_no_unknown_name_in_the_log(world: World) -> None:
    """An unknown name is logged as a pseudonym, which is the same for the same name; a password never."""
    factory_reports = []
    client = world.connect(secure=True)
    for _ in range(2):
        client.say(b"USER hunter2-in-the-wrong-field", b"PASS hunter2")
        client.wait(2)
    client.say(b"PASS hunter2", b"XXXX hunter2", b"\0hunter2")
    client.go_away()
    factory_reports = [repr(each) for each in world.reports]
    assert "hunter2" not in "".join(factory_reports)
    (line,) = world.reported("session")
    assert line["denied"] == 2
    assert len(str(line["claimed"])) == 16


# Properties


def _finish(client: Client) -> bytes:
    said = b""
    while more := client.wire.take() or client.wait(2):
        said += more
    return said


COMMANDS = st.lists(
    st.sampled_from(
        [
            b"STAT\r\n",
            b"LIST\r\n",
            b"UIDL 2\r\n",
            b"RETR 1\r\n",
            b"TOP 2 3\r\n",
            b"DELE 2\r\n",
            b"RSET\r\n",
            b"NOOP\r\n",
            b"CAPA\r\n",
            b"QUIT\r\n",
            b"XXXX\r\n",
            b"USER alice\r\n",
            b"PASS wonder land\r\n",
            b"PASS wrong\r\n",
        ]
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(COMMANDS, st.lists(st.integers(0, 300), max_size=6), st.booleans(), st.data())
def test_answers_do_not_depend_on_segments_or_speed(
    world: World, lines: list[bytes], places: list[int], slow: bool, data: st.DataObject
) -> None:
    """However a session's bytes are cut, and however slow files and accounts are, the answers are the same."""
    stream = b"".join([b"USER alice\r\n", b"PASS wonder land\r\n", *lines])
    make = type(world)
    whole = make().connect(secure=True)
    whole.session.dataReceived(stream)
    expected = _finish(whole)

    other_world = make()
    other_world.held.slow = slow
    other = other_world.connect(secure=True)
    edges = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    for begin, end in pairwise(edges):
        other.session.dataReceived(stream[begin:end])
        if slow and other_world.held.waiting and data.draw(st.booleans()):
            other_world.held.go()
    said = b""
    for _ in range(400):
        other_world.held.go_all()
        said += other.wire.take() or other.wait(2)
    assert said == expected
    assert other.wire.disconnecting == whole.wire.disconnecting


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=200), max_size=15), st.booleans())
def test_random_bytes_are_answered_and_never_raise(world: World, chunks: list[bytes], inside: bool) -> None:
    """Any bytes at all get whole lines of ours, no exception, and no error in the log."""
    fresh = type(world)()
    client = fresh.enter() if inside else fresh.connect()
    said = b"".join(client.send(chunk) for chunk in chunks)
    client.go_away()
    assert all(
        line.startswith((b"+OK", b"-ERR", b".")) or line.isupper() or not line for line in said.split(b"\r\n")[:1]
    )
    assert fresh.reported("error") == []
    assert len(fresh.reported("session")) == 1

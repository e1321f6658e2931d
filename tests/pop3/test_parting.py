"""A session ends while the service stops: in order, with an answer, and with nothing half done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.pop3.doubles import World

STOPS = b"-ERR [SYS/TEMP] the service stops, try again later\r\n"


def test_the_next_command_is_answered_by_the_end(world: World) -> None:
    """Before the login and after it; what was marked stays."""
    before, after = world.connect(), world.enter()
    assert after.say(b"DELE 1").startswith(b"+OK")
    for client in (before, after):
        client.session.drain()
        assert client.say(b"NOOP", b"QUIT") == STOPS
        assert client.wire.disconnecting
        assert client.session.depart()
    assert world.mailbox.committed == []


def test_quit_is_obeyed(world: World) -> None:
    """In any case of its letters: it is the end anyway, and the client's work is done."""
    client = world.enter()
    client.say(b"DELE 1")
    client.session.drain()
    world.held.slow = True
    client.say(b"quit")
    assert not client.session.depart()
    world.held.go_all()
    assert client.wire.take() == b"+OK bye\r\n"
    assert client.session.depart()
    assert world.mailbox.committed == [(0,)]


def test_a_command_under_way_is_finished(world: World) -> None:
    """A message arrives whole; then the next command is answered."""
    client = world.enter()
    world.held.slow = True
    client.send(b"RETR 1\r\nRETR 1\r\n")
    client.session.drain()
    assert not client.session.depart()
    world.held.go_all()
    answer = client.wire.take()
    assert answer.endswith(b"\r\n.\r\n" + STOPS)
    assert answer.count(b"+OK") == 1


@pytest.mark.parametrize("part", [b"", b"NO"])
def test_a_session_that_waits_is_told_when_it_is_its_turn(world: World, part: bytes) -> None:
    """Half a command is none; and a client that sends one in that moment takes the line for its answer."""
    client = world.enter()
    client.send(part)
    client.session.drain()
    assert client.session.depart()
    assert client.wire.take() == STOPS
    assert client.wire.disconnecting
    assert world.reported("session")[-1:] == []
    client.go_away()
    assert world.reported("session")[-1]["reason"] == "draining"


def test_removing_messages_is_waited_for_though_the_client_is_gone(world: World) -> None:
    """The factory says when it is over."""
    client = world.enter()
    factory = client.session.factory
    client.say(b"DELE 1")
    world.held.slow = True
    client.send(b"QUIT\r\n")
    client.go_away(clean=False)
    over = factory.when_settled()
    assert not over.called
    world.held.go_all()
    assert over.called

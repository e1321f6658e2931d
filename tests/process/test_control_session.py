"""Tests for netguard.process.control_session: lines in, lines of JSON out, and nothing without bounds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from netguard.errors import OptionError
from netguard.process.commands import Call, Command, ControlError
from netguard.process.control_session import IDLE, LONGEST, Rows, Session, answer
from netguard.process.peer_credentials import Credentials
from netguard.service import Service


class Wire(StringTransport):
    """A transport that can be aborted, and tells so as a real one does."""

    protocol: Any = None

    def abortConnection(self) -> None:
        """End it."""
        self.disconnected = True


class Stream:
    """An answer that goes on.

    Args:
        over: fires when it is ended.
    """

    def __init__(self, over: Deferred[dict[str, object]]) -> None:
        self.told: list[str] = []
        self._over = over

    def pauseProducing(self) -> None:
        """Remember."""
        self.told.append("pause")

    def resumeProducing(self) -> None:
        """Remember."""
        self.told.append("resume")

    def stopProducing(self) -> None:
        """End."""
        self._over.callback({"over": True})


class Stage:
    """A session, and commands that a test carries out."""

    def __init__(self) -> None:
        self.clock = Clock()
        clock: Any = self.clock
        self.waiting: list[Deferred[dict[str, object]]] = []
        self.left: list[Session] = []
        self.calls: list[Call] = []
        table = (
            Command("echo", "[WORD] ...", "Say it again.", self.echo),
            Command("wait", "", "Answer later.", self.wait, changes=True),
            Command("refuse", "", "Refuse.", self.refuse, changes=True),
            Command("option", "", "Refuse a value.", self.option),
            Command("fail", "", "Fail.", self.fail),
        )
        who = Credentials(4711, 1000, 1000)
        self.session = Session(table, Service(lambda: clock), who, self.clock, self.left.append)
        self.wire = Wire()
        self.session.makeConnection(self.wire)

    def echo(self, call: Call) -> dict[str, object]:
        """Answer at once."""
        self.calls.append(call)
        return {"words": list(call.words)}

    async def wait(self, _: Call) -> dict[str, object]:
        """Answer when the test wants it."""
        self.waiting.append(Deferred())
        return await self.waiting[-1]

    def refuse(self, _: Call) -> dict[str, object]:
        """It cannot be."""
        raise ControlError("not today")

    def option(self, _: Call) -> dict[str, object]:
        """It is no value."""
        raise OptionError("option idle: no")

    def fail(self, _: Call) -> dict[str, object]:
        """A defect."""
        raise KeyError("secret")

    def send(self, data: bytes) -> None:
        """The client sends."""
        self.session.dataReceived(data)
        self.settle()

    def settle(self) -> None:
        """The reactor has its turns."""
        while any(call.getTime() <= self.clock.seconds() for call in self.clock.getDelayedCalls()):
            self.clock.advance(0)

    def answers(self) -> list[Any]:
        """What it was answered since the last time."""
        lines = self.wire.value().splitlines()
        self.wire.clear()
        return [json.loads(each) for each in lines]


@pytest.fixture
def stage() -> Stage:
    """A session."""
    return Stage()


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_commands_are_answered_in_their_order_however_their_bytes_are_cut(stage: Stage, size: int) -> None:
    """One line for each; blank ones are nothing, and a carriage return is no part of one."""
    data = b"echo a b\r\n\n   \nrefuse\noption\necho\n"
    for at in range(0, len(data), size):
        stage.send(data[at : at + size])
    assert stage.answers() == [
        {"ok": True, "words": ["a", "b"]},
        {"ok": False, "error": "not today"},
        {"ok": False, "error": "option idle: no"},
        {"ok": True, "words": []},
    ]


def test_a_defect_is_told_in_the_log_and_not_to_the_client(stage: Stage, logged: Any) -> None:
    """And the next command is carried out."""
    stage.send(b"fail\necho\n")
    assert stage.answers() == [{"ok": False, "error": "it failed; the log says how"}, {"ok": True, "words": []}]
    assert len(logged.take_failures(KeyError)) == 1


@pytest.mark.parametrize(
    "data", [bytes(range(1, 10)), b"\x00\x00", b"\xff\xfe\x80", "ü\u2028".encode(), b"GET / HTTP/1.1"]
)
def test_garbage_is_no_command(stage: Stage, data: bytes) -> None:
    """And is never reflected raw."""
    stage.send(data + b"\necho\n")
    refused, echoed = stage.answers()[-2:]
    assert refused["ok"] is False
    assert refused["error"].isprintable()
    assert echoed == {"ok": True, "words": []}


@pytest.mark.parametrize("ended", [True, False])
def test_a_line_has_its_limit(stage: Stage, *, ended: bool) -> None:
    """The longest passes; one byte more ends the session, whether its end has come or not."""
    stage.send(b"echo " + b"x" * (LONGEST - 5) + b"\n")
    assert stage.answers()[0]["ok"] is True
    stage.send(b"echo " + b"x" * (LONGEST - 4) + b"\n" * ended + b"echo again\n" * ended)
    assert stage.answers() == [{"ok": False, "error": "a command has 1024 bytes at most"}]
    assert stage.wire.disconnecting
    stage.send(b"echo a\n")
    assert stage.answers() == []


def test_one_command_waits_for_the_other_and_little_is_read_meanwhile(stage: Stage) -> None:
    """A flood behind a slow command stays in the socket."""
    stage.send(b"wait\n" + b"echo a\n" * 3)
    assert stage.answers() == []
    assert stage.wire.producerState == "producing"
    stage.send(b"echo b\n" * 200)
    assert stage.wire.producerState == "paused"
    stage.waiting[0].callback({"at": "last"})
    stage.settle()
    answers = stage.answers()
    assert answers[0] == {"ok": True, "at": "last"}
    assert len(answers) == 204
    assert stage.wire.producerState == "producing"


def test_no_command_is_taken_while_answers_wait_to_be_read(stage: Stage) -> None:
    """Or who reads nothing could have us keep answers without end."""
    stage.session.pauseProducing()
    stage.send(b"echo a\n" * 500)
    assert stage.answers() == []
    assert stage.wire.producerState == "paused"
    stage.session.resumeProducing()
    stage.settle()
    assert len(stage.answers()) == 500
    assert stage.wire.producerState == "producing"


def test_one_command_in_a_turn_of_the_reactor(stage: Stage) -> None:
    """The service's own clients have theirs in between."""
    stage.session.dataReceived(b"echo\n" * 3)
    assert len(stage.answers()) == 1
    stage.settle()
    assert len(stage.answers()) == 2


def test_what_changes_something_is_told(stage: Stage, logged: Any) -> None:
    """With who wanted it, and what came of it; what only asks is not."""
    stage.send(b"echo\nwait\n")
    assert logged.named("command") == []
    stage.waiting[0].callback({})
    stage.send(b"refuse\n")
    done, refused = logged.named("command")
    assert (done["command"], done["outcome"], done["uid"], done["pid"]) == ("wait", "done", 1000, 4711)
    assert (refused["command"], refused["outcome"]) == ("refuse", "not today")


def test_who_says_nothing_is_cut(stage: Stage) -> None:
    """Counted from the last answer; a command that takes its time is no silence."""
    stage.clock.advance(IDLE - 1)
    stage.send(b"wait\n")
    stage.clock.advance(IDLE * 10)
    assert not stage.wire.disconnected
    stage.waiting[0].callback({})
    stage.clock.advance(IDLE - 1)
    assert not stage.wire.disconnected
    stage.clock.advance(2)
    assert stage.wire.disconnected


def test_a_client_that_goes_takes_its_command_along(stage: Stage) -> None:
    """Whoever waits for it hears so; nothing is left, and nobody is told of a defect."""
    stage.send(b"wait\n")
    stage.session.connectionLost(controls_gone())
    assert stage.left == [stage.session]
    assert stage.waiting[0].called
    assert not stage.clock.getDelayedCalls()


def test_who_wants_to_know_hears_when_the_client_has_gone() -> None:
    """At once, where it has gone already."""
    stage, heard = Stage(), list[str]()
    stage.session.when_gone(lambda: heard.append("later"))
    assert heard == []
    stage.session.connectionLost(controls_gone())
    stage.session.when_gone(lambda: heard.append("at once"))
    assert heard == ["later", "at once"]


def controls_gone() -> Any:
    """The reason of a connection that was closed."""
    from twisted.internet.error import ConnectionDone
    from twisted.python.failure import Failure

    return Failure(ConnectionDone())


def test_when_the_service_ends_its_client_has_the_last_answer(stage: Stage) -> None:
    """What is under way is given up, what goes on is ended; then it has a moment to read."""
    stage.send(b"wait\n")
    gone = stage.session.part()
    assert stage.waiting[0].called
    assert stage.wire.disconnecting
    stage.send(b"echo\n")
    assert stage.answers() == []
    stage.clock.advance(2)
    assert stage.wire.disconnected
    stage.session.connectionLost(controls_gone())
    assert gone.called


def test_when_the_service_ends_what_goes_on_is_ended(stage: Stage) -> None:
    """With its own last answer."""
    stage.send(b"wait\n")
    stage.session.stream = Stream(stage.waiting[0])
    stage.session.part()
    assert stage.answers() == [{"ok": True, "over": True}]
    stage.session.connectionLost(controls_gone())


def test_a_command_that_goes_on_is_interrupted_by_whatever_comes(stage: Stage) -> None:
    """As the stream of events."""
    stage.send(b"wait\n")
    stream = stage.session.stream = Stream(stage.waiting[0])
    stage.session.pauseProducing()
    stage.session.resumeProducing()
    assert stream.told == ["pause", "resume"]
    stage.send(b"echo a\n")
    assert stage.answers() == [{"ok": True, "over": True}, {"ok": True, "words": ["a"]}]


def test_rows_are_encoded_by_whoever_made_them() -> None:
    """The line is the same."""
    line = b"".join(answer({"ok": True, "rows": Rows(['{"a": 1}, 7', "2"]), "none": Rows(), "last": None}))
    assert json.loads(line) == {"ok": True, "rows": [{"a": 1}, 7, 2], "none": [], "last": None}
    assert line.count(b"\n") == 1

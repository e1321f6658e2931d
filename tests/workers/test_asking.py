"""Questions to a worker."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from socket import socket as Socket  # noqa: N812 - a field has that name
from typing import Any

import pytest
from attrs import define
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from netguard.process.commands import ControlError
from netguard.workers.asking import Line, SilentError

reactor: Any = global_reactor


@define
class Worker:
    """The other end, by hand."""

    line: Line
    socket: Socket

    async def asked(self) -> Socket:
        """The connection of the next question."""
        while True:
            try:
                _, (descriptor,), _, _ = socket.recv_fds(self.socket, 1, 1)
            except BlockingIOError:
                await deferLater(reactor, 0.01)
            else:
                return Socket(fileno=descriptor)


@pytest.fixture
def worker() -> Iterator[Worker]:
    """One that is there."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    made = Worker(Line(ours, reactor, "worker 7"), theirs)
    yield made
    made.line.close()
    theirs.close()


async def heard(sock: socket.socket) -> bytes:
    """The command."""
    sock.setblocking(False)
    while True:
        try:
            return sock.recv(100)
        except BlockingIOError:
            await deferLater(reactor, 0.01)


async def test_an_answer_comes(worker: Worker) -> None:
    """However many pieces it has; several questions are under way at a time."""
    first, second = worker.line.ask("status"), worker.line.ask("limits")
    one, other = await worker.asked(), await worker.asked()
    with one, other:
        assert [await heard(one), await heard(other)] == [b"status\n", b"limits\n"]
        other.sendall(b'{"ok": true, "limits": []}\n')
        assert await second == {"limits": []}
        one.sendall(b'{"ok": true, "connec')
        await deferLater(reactor, 0.02)
        one.sendall(b'tions": 3}\n')
        assert await first == {"connections": 3}
        assert await heard(one) == b""


async def refusal(asked: Deferred[Any], kind: type[ControlError] = ControlError) -> str:
    """Why there is no answer."""
    with pytest.raises(ControlError) as why:
        await asked
    assert type(why.value) is kind
    return str(why.value)


async def test_a_refusal_is_an_error(worker: Worker) -> None:
    """In the worker's words."""
    asked = worker.line.ask("cut 1")
    with await worker.asked() as one:
        one.sendall(b'{"ok": false, "error": "there is no session 1"}\n')
        assert await refusal(asked) == "there is no session 1"


async def test_a_worker_that_ends_is_an_error(worker: Worker) -> None:
    """So is one that has ended before, and one that reads nothing."""
    asked = worker.line.ask("status")
    (await worker.asked()).close()
    assert await refusal(asked) == "worker 7: it has ended"
    assert await refusal(worker.line.ask("status", 0.01), SilentError) == "worker 7: no answer within 0.01s"
    worker.socket.close()
    assert (await refusal(worker.line.ask("status"), SilentError)).startswith("worker 7: ")
    assert (await refusal(worker.line.ask("status"), SilentError)) == f"worker 7: {os.strerror(32)}"


async def test_who_asks_no_more_ends_it(worker: Worker) -> None:
    """The worker notices."""
    asked = worker.line.ask("status")
    asked.addErrback(lambda _: None)
    with await worker.asked() as one:
        await heard(one)
        asked.cancel()
        assert await heard(one) == b""


async def test_an_answer_that_goes_on_is_followed(worker: Worker) -> None:
    """Line by line, until nobody wants more."""
    lines: list[bytes] = []
    following = worker.line.follow("events", lines.append)
    following.answer.addErrback(lambda _: None)
    with await worker.asked() as one:
        assert await heard(one) == b"events\n"
        one.sendall(b"one\ntw")
        while not lines:
            await deferLater(reactor, 0.01)
        one.sendall(b"o\nthree\n")
        while len(lines) < 3:
            await deferLater(reactor, 0.01)
        assert lines == [b"one", b"two", b"three"]
        following.lose()
        assert await heard(one) == b""

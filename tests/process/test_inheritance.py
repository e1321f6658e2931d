"""Taking over: each socket is used by who listens on its address, once, and what nobody takes is closed."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from netguard.process.commands import ControlError
from netguard.process.inheritance import Inheritance
from netguard.process.newcomers import is_shared
from netguard.workers.sockets import opened


class Other:
    """The other instance, in a thread.

    Args:
        answers: what it answers, in order.
        descriptors: what it sends along with the first answer, a byte each.
    """

    def __init__(self, path: str, answers: list[dict[str, object]], descriptors: list[int]) -> None:
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(path)
        self.listening.listen()
        self.heard: list[bytes] = []
        self.answers = answers
        self.descriptors = descriptors
        self.thread = Thread(target=self.talk)
        self.thread.start()

    def talk(self) -> None:
        """Answer each command."""
        with suppress(OSError), self.listening.accept()[0] as sock, sock.makefile("rb") as lines:
            sock.settimeout(10)
            for answer in self.answers:
                self.heard.append(lines.readline())
                text = json.dumps(answer).encode() + b"\n"
                for each in self.descriptors:
                    socket.send_fds(sock, [text[:1]], [each])
                    text = text[1:]
                self.descriptors = []
                sock.sendall(text)


@contextmanager
def other(path: Path, *answers: dict[str, object], descriptors: tuple[int, ...] = ()) -> Iterator[Other]:
    """The other instance for the time of a block."""
    it = Other(str(path), list(answers), list(descriptors))
    try:
        yield it
    finally:
        it.thread.join(10)
        it.listening.close()


class Adopted:
    """A port.

    Args:
        number: of the socket's file.
    """

    backlog = 0
    _shouldShutdown = False

    def __init__(self, number: int) -> None:
        self.number = number


class Reactor:
    """Remembers what was asked of it."""

    def __init__(self) -> None:
        self.listened: list[Any] = []
        self.adopted: list[Any] = []

    def listenTCP(self, *about: Any, **named: Any) -> str:
        """Listen anew."""
        self.listened.append((about, named))
        return "new"

    def adoptStreamPort(self, descriptor: int, family: int, factory: Any) -> Adopted:
        """Adopt; it makes a copy of its own."""
        with socket.socket(fileno=os.dup(descriptor)) as copy:
            assert not os.get_blocking(descriptor)
            self.adopted.append((copy.getsockname()[:2], family, factory))
        return Adopted(os.fstat(descriptor).st_ino)


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    """Listening ones, of both families."""
    made = [socket.create_server(("127.0.0.1", 0)), socket.create_server(("::1", 0), family=socket.AF_INET6)]
    yield made
    for each in made:
        each.close()


def open_files() -> int:
    """How many files are open here."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_each_socket_is_used_once_by_who_listens_there(sockets: list[socket.socket], tmp_path: Path) -> None:
    """Anybody else listens anew; the lock comes first; at the end the other instance is told."""
    before = open_files()
    lock = os.open(tmp_path / "lock", os.O_CREAT)
    sent = (lock, *(each.fileno() for each in sockets))
    answers: tuple[dict[str, object], ...] = ({"ok": True, "pid": 7, "lock": True}, {"ok": True})
    with other(tmp_path / "ctl", *answers, descriptors=sent) as it:
        inheritance = Inheritance.of(str(tmp_path / "ctl"))
        held = inheritance.take_lock()
        assert held is not None
        assert os.fstat(held).st_ino == os.fstat(lock).st_ino
        assert not os.get_inheritable(held)
        os.close(held)
        assert inheritance.take_lock() is None
        reactor = Reactor()
        listen = inheritance.listen_by(reactor)
        four, six = (each.getsockname()[1] for each in sockets)
        assert isinstance(listen(four, "f", interface="127.0.0.1"), Adopted)
        assert listen(four, "f", interface="127.0.0.1") == "new"
        assert listen(four, "f", 9) == "new"
        assert isinstance(listen(six, "g", 50, "::1"), Adopted)
        assert reactor.adopted == [
            (("127.0.0.1", four), socket.AF_INET, "f"),
            (("::1", six), socket.AF_INET6, "g"),
        ]
        assert reactor.listened[1] == ((four, "f"), {"backlog": 9, "interface": ""})
        assert (inheritance.taken, inheritance.pid) == (2, 7)
        inheritance.done()
        assert it.heard == [b"hand-over\n", b"hand-over done\n"]
    os.close(lock)
    assert open_files() == before


def test_all_sockets_of_an_address_are_one_port(tmp_path: Path) -> None:
    """Several processes had one each; one that serves alone has them all, in their order."""
    before = open_files()
    group = opened("127.0.0.1", 0, 50, 3)
    with other(tmp_path / "ctl", {"ok": True}, descriptors=tuple(each.fileno() for each in group)):
        inheritance = Inheritance.of(str(tmp_path / "ctl"))
        reactor = Reactor()
        port = inheritance.listen_by(reactor)(group[0].getsockname()[1], "f", 9, "127.0.0.1")
        assert [each.number for each in port.ports] == [os.fstat(each.fileno()).st_ino for each in group]
        assert [each.backlog for each in port.ports] == [9, 9, 9]
        assert inheritance.taken == 1
        inheritance.close()
    for each in group:
        each.close()
    assert open_files() == before


def test_what_nobody_takes_is_closed(sockets: list[socket.socket], tmp_path: Path) -> None:
    """The lock, too."""
    before = open_files()
    sent = tuple(each.fileno() for each in sockets)
    with other(tmp_path / "ctl", {"ok": True, "lock": True}, descriptors=sent):
        Inheritance.of(str(tmp_path / "ctl")).close()
    assert open_files() == before


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        (({"ok": False, "error": "no"},), "^no$"),
        ((), "has closed the connection|reset by peer"),
    ],
)
def test_one_that_gives_nothing_is_told_of(
    answers: tuple[dict[str, object], ...], why: str, sockets: list[socket.socket], tmp_path: Path
) -> None:
    """What came all the same is closed."""
    before = open_files()
    sent = (sockets[0].fileno(),) if answers else ()
    with other(tmp_path / "ctl", *answers, descriptors=sent), pytest.raises(ControlError, match=why):
        Inheritance.of(str(tmp_path / "ctl"))
    with pytest.raises(ControlError, match="No such file"):
        Inheritance.of(str(tmp_path / "none"))
    assert open_files() == before


def test_one_that_has_ended_meanwhile_has_left(sockets: list[socket.socket], tmp_path: Path) -> None:
    """Nobody has to be told."""
    path = tmp_path / "ctl"
    with other(path, {"ok": True}, descriptors=(sockets[0].fileno(),)):
        inheritance = Inheritance.of(str(path))
    path.unlink()
    inheritance.done()


@pytest.mark.parametrize("answers", [({"ok": True},), ()])
def test_one_that_has_lost_patience_is_told_anew(
    answers: tuple[dict[str, object], ...], sockets: list[socket.socket], tmp_path: Path
) -> None:
    """It lives, and only its connection was closed; it may end in the middle of that, too."""
    path = tmp_path / "ctl"
    with other(path, {"ok": True}, descriptors=(sockets[0].fileno(),)):
        inheritance = Inheritance.of(str(path))
    path.unlink()
    with other(path, *answers) as it:
        inheritance.done()
    assert it.heard == [b"hand-over done\n"] * len(answers)


def test_one_that_will_not_leave_is_told_of(sockets: list[socket.socket], tmp_path: Path) -> None:
    """Both serve then."""
    path = tmp_path / "ctl"
    with other(path, {"ok": True}, {"ok": False, "error": "no"}, descriptors=(sockets[0].fileno(),)):
        inheritance = Inheritance.of(str(path))
        with pytest.raises(ControlError, match=r"^no$"):
            inheritance.done()


def test_what_the_other_had_alone_is_ours_when_it_has_left(sockets: list[socket.socket], tmp_path: Path) -> None:
    """What others have, too, stays shared; so does all that an older version handed over, which does not say."""
    (host, number), *_ = addresses = [each.getsockname()[:2] for each in sockets]
    sent = tuple(each.fileno() for each in sockets)
    for alone in ({"alone": [[host, number], ["192.0.2.1", 7]]}, {}):
        with other(tmp_path / "ctl", {"ok": True}, {"ok": True, **alone}, descriptors=sent):
            inheritance = Inheritance.of(str(tmp_path / "ctl"))
            ports = [inheritance.listen_by(Reactor())(number, "f", interface=host) for host, number in addresses]
            inheritance.done()
            assert [is_shared(each) for each in ports] == [True, True]
            inheritance.possess()
            assert [is_shared(each) for each in ports] == [not alone, True]
        (tmp_path / "ctl").unlink()


def test_what_is_no_socket_is_no_inheritance(tmp_path: Path) -> None:
    """Whoever sits there."""
    before = open_files()
    with (
        (tmp_path / "file").open("w") as file,
        other(tmp_path / "ctl", {"ok": True}, descriptors=(file.fileno(),)),
        pytest.raises(ControlError, match="non-socket"),
    ):
        Inheritance.of(str(tmp_path / "ctl"))
    assert open_files() == before

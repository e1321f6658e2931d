"""Tests for netguard.process.control_client: whatever is at the other end, there is an answer or one line."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from netguard.process import control_client
from netguard.process.commands import ControlError
from netguard.process.control_client import ControlClient


@contextmanager
def service(path: Path, *answers: bytes) -> Iterator[list[bytes]]:
    """A service that answers each line with the next of these, then closes."""
    heard: list[bytes] = []

    def serve() -> None:
        sock, _ = listening.accept()
        with sock, sock.makefile("rb") as lines:
            for answer in answers:
                heard.append(lines.readline())
                sock.sendall(answer)

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        thread = Thread(target=serve)
        thread.start()
        yield heard
        thread.join(30)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the socket is."""
    return tmp_path / "control"


def test_a_command_has_its_answer(path: Path) -> None:
    """One line each way, and more than once."""
    with (
        service(path, b'{"ok": true, "a": 1}\n', b'{"ok": false, "error": "no"}\n') as heard,
        ControlClient(str(path)) as client,
    ):
        assert client.ask(["limits", "set", "a", "b"]) == {"ok": True, "a": 1}
        with pytest.raises(ControlError, match=r"^no$"):
            client.ask(["status"])
    assert heard == [b"limits set a b\n", b"status\n"]


def test_a_stream_goes_on_until_the_service_ends(path: Path) -> None:
    """Which is said."""
    with service(path, b'{"event": "a"}\n{"event": "b"}\n'), ControlClient(str(path)) as client:
        events = client.watch(["events"])
        assert [next(events), next(events)] == [{"event": "a"}, {"event": "b"}]
        with pytest.raises(ControlError, match="the service has closed the connection"):
            next(events)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400\r\n", b"\xff\n", b"{\n", b"[1]\n"])
def test_what_is_no_answer_is_one_line(path: Path, answer: bytes) -> None:
    """Somebody else listens there."""
    with (
        service(path, answer),
        ControlClient(str(path)) as client,
        pytest.raises(ControlError, match="no service of netguard"),
    ):
        client.ask(["status"])


@pytest.mark.parametrize("word", ["", "a b", "a\nb", "\x1b", "ü", "a\x00"])
def test_what_is_no_word_is_not_sent(path: Path, word: str) -> None:
    """Nobody gives two commands by accident."""
    with (
        service(path, b'{"ok": true}\n') as heard,
        ControlClient(str(path)) as client,
    ):
        with pytest.raises(ControlError, match="is no word of a command"):
            client.ask(["cut", word])
        client.ask(["status"])
    assert heard == [b"status\n"]


@pytest.mark.parametrize(
    ("prepare", "why"),
    [
        (lambda _: None, "No such file or directory"),
        (lambda path: path.write_text("x"), "Connection refused"),
        (lambda path: path.mkdir(), "Connection refused"),
    ],
)
def test_where_nobody_listens_is_one_line(path: Path, prepare: Callable[[Path], object], why: str) -> None:
    """With the path in it."""
    prepare(path)
    with pytest.raises(ControlError, match=f"{path}: {why}"):
        ControlClient(str(path))


def test_a_name_that_is_too_long_is_one_line() -> None:
    """The kernel has no room for it."""
    with pytest.raises(ControlError, match="too long"):
        ControlClient("/" + "x" * 200)


def test_a_service_that_is_stuck_is_called_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while."""
    monkeypatch.setattr(control_client, "PATIENCE", 0.05)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        with ControlClient(str(path)) as client, pytest.raises(ControlError, match="is the service stuck"):
            client.ask(["status"])


def test_a_connection_that_is_reset_or_closed_is_one_line(path: Path) -> None:
    """Between a command and its answer, and after the end."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        client = ControlClient(str(path))
        client._send(["status"])
        listening.accept()[0].close()
        with pytest.raises(ControlError, match=f"{path}: Connection reset by peer"):
            client._read()
        client.close()
        with pytest.raises(ControlError, match=f"{path}: Bad file descriptor"):
            client.ask(["status"])


def test_a_service_that_is_gone_is_one_line(path: Path) -> None:
    """Whether that shows in sending or in reading."""
    with service(path), ControlClient(str(path)) as client:
        for _ in range(3):
            with pytest.raises(ControlError, match=str(path)):
                client.ask(["status"])

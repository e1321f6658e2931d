"""Tests for netguard.commands.top: on a terminal of 80 by 24, as a person uses it."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from netguard.cli import main
from netguard.commands import top
from netguard.commands.contract import Parser
from netguard.commands.top_model import Model
from tests.popserver import PATIENCE, environment
from tests.test_cli import COMMAND

pytest.importorskip("rich", reason="the extra `top` is not installed")

STATUS = {"ok": True, "pid": 4711, "uptime": 7.0, "connections": 2, "peak": 2, "accepted": 2, "heartbeat": "1m"}
STATUS |= {"refused": {"ConnectionLimit": 5}, "cut": {}, "lag_median": 0.0, "lag_worst": 0.0, "rss": 1, "fds": 2}
ROW: dict[str, Any] = {"client.address": "192.0.2.7", "state": "open", "settled": True, "waits": [], "age": 3.0}
ROW |= {"received": 1, "sent": 2, "queued": 0, "silent": 1.0, "stalled": 0.0}


class Pretended:
    """A service whose answers are made up.

    Args:
        path: its control socket.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[str] = []
        self.sessions = [41, 42]
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self._open: list[socket.socket] = []
        self._thread = Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            self._open.append(sock)
            with sock, sock.makefile("rb") as lines, suppress(OSError):
                for line in lines:
                    sock.sendall(json.dumps(self._answer(line.decode().strip())).encode() + b"\n")

    def _answer(self, line: str) -> dict[str, Any]:
        self.heard.append(line)
        if line == "status":
            return STATUS
        if line.startswith("cut"):
            self.sessions.remove(int(line.split()[1]))
            return {"ok": True}
        rows = [{**ROW, "session": each} for each in self.sessions]
        return {"ok": True, "connections": rows, "matching": len(rows), "total": 2}

    def close(self) -> None:
        """It ends."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        self.path.unlink()


class Terminal:
    """A terminal of 80 by 24 in which `netguard top` runs.

    Args:
        words: its arguments.
    """

    def __init__(self, *words: str) -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(theirs)
        surroundings = environment() | {"TERM": "xterm", "NO_COLOR": "1"}
        self.process = subprocess.Popen(
            [*COMMAND, "top", *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=surroundings,
            start_new_session=True,
        )
        self.theirs = theirs
        self.written = b""

    def shows(self, text: str) -> None:
        """Wait until something is written, from where the last one was."""
        end = time.monotonic() + PATIENCE
        while text.encode() not in self.written:
            if time.monotonic() > end or not select.select([self.ours], [], [], PATIENCE)[0]:
                pytest.fail(f"{text!r} is not shown: {self.written[-2000:]!r}")
            self.written += os.read(self.ours, 65_536)
        self.written = self.written[self.written.index(text.encode()) + len(text) :]

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self.ours, keys.encode())

    def ends(self) -> int:
        """Wait for its end; the terminal is then as it was."""
        status = self.process.wait(PATIENCE)
        assert termios.tcgetattr(self.theirs) == self.before
        return status

    def close(self) -> None:
        """Throw it away."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
def pretended(tmp_path: Path) -> Iterator[Pretended]:
    """A service."""
    made = Pretended(tmp_path / "control")
    yield made
    if made.path.exists():
        made.close()


@contextmanager
def terminal(*words: str) -> Iterator[Terminal]:
    """A terminal for the time of a block."""
    made = Terminal(*words)
    try:
        yield made
    finally:
        made.close()


def test_a_person_watches_sorts_searches_and_cuts(pretended: Pretended) -> None:
    """Each key is answered at once; after q, all is as before."""
    with terminal(str(pretended.path), "--every", "1h") as seen:
        seen.shows("pid 4711")
        seen.shows("ConnectionLimit 5")
        seen.shows("q quit")
        seen.press("s")
        seen.shows("sorted by received")
        seen.press("/192")
        seen.shows("search: 192_")
        seen.press("\r")
        seen.shows("2 of 2 match 192")
        seen.press("\x1b[B")
        seen.shows(">      42")
        seen.press("c")
        seen.shows("cut session 42 of 192.0.2.7? press y")
        seen.press("y")
        seen.shows("session 42 is cut")
        seen.press("q")
        assert seen.ends() == 0
    assert "cut 42" in pretended.heard
    assert "connections sort=received most=24 match=192" in pretended.heard


def test_it_is_readable_without_colour(pretended: Pretended) -> None:
    """Nothing but bold and reverse is used when colour is not wanted."""
    with terminal(str(pretended.path), "--every", "1h") as seen:
        seen.shows("q quit")
        seen.press("s")
        seen.shows("lag")
        before = seen.written
        seen.shows("q quit")
        seen.press("q")
        assert seen.ends() == 0
    assert re.findall(rb"\x1b\[(?:3[0-7]|4[0-7]|38|48)[;m]", before) == []


def test_a_service_that_goes_is_waited_for(pretended: Pretended) -> None:
    """The last figures stay, and the line says why they are old; Ctrl-C leaves."""
    with terminal(str(pretended.path), "--every", "100ms") as seen:
        seen.shows("pid 4711")
        pretended.close()
        seen.shows("no answer: ")
        again = Pretended(pretended.path)
        seen.shows("41 192.0.2.7")
        while not again.heard:
            seen.shows("pid 4711")
        seen.press("p")
        seen.shows("PAUSED")
        seen.process.send_signal(signal.SIGINT)
        assert seen.ends() == 130
        again.close()


def test_what_cannot_be_watched_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody listens there; and a pipe is no terminal."""
    with terminal(str(tmp_path / "control")) as seen:
        seen.shows("control: No such file or directory")
        assert seen.ends() == 1
    assert main(["top", str(tmp_path / "control")]) == 1
    assert "needs a terminal" in capsys.readouterr().err


def test_without_rich_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And how to get it."""
    monkeypatch.setattr(top, "find_spec", lambda _: None)
    assert main(["top", "control"]) == 1
    assert capsys.readouterr().err == "netguard top: it needs rich: pip install 'netguard[top]'\n"


def test_what_cannot_be_cut_is_said(tmp_path: Path) -> None:
    """In the line for that."""
    watcher = top.Watcher(str(tmp_path / "control"), Model())
    watcher.cut(7)
    assert "No such file or directory" in watcher.model.message


def test_a_terminal_that_goes_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is there any more who could press q."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        top._loop(top.Watcher(str(tmp_path / "control"), Model()), 60.0, lambda: os.close(ours))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.close(ours)


@pytest.mark.parametrize("words", [["--every", "often"], ["--sort", "beauty"]])
def test_what_cannot_be_honoured_is_refused(words: list[str]) -> None:
    """Before anything is asked."""
    parser = Parser(prog="netguard top")
    top.configure(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["control", *words])

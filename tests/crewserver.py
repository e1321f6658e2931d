"""A service with workers, in processes of its own: `netguard-wrap` around a plugin that tells who answers."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from netguard.process.control_client import ControlClient
from tests.popserver import PATIENCE, Server, assert_clean

PLUGIN = """
import os

from twisted.application import strports
from twisted.application.service import IServiceMaker, MultiService
from twisted.internet import protocol
from twisted.plugin import IPlugin
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python import usage
from zope.interface import implementer


class Options(usage.Options):
    def __init__(self):
        super().__init__()
        self["listen"] = []

    def opt_listen(self, description):
        self["listen"].append(description)


class Talker(LineOnlyReceiver):
    def lineReceived(self, line):
        while line == b"hang":
            pass
        self.sendLine(str(os.getpid()).encode() if line == b"who" else line)


@implementer(IServiceMaker, IPlugin)
class Maker:
    tapname = "talker"
    description = "says who answers, echoes, and hangs where it is asked to"
    options = Options

    def makeService(self, options):
        service = MultiService()
        for each in options["listen"]:
            strports.service(each, protocol.Factory.forProtocol(Talker)).setServiceParent(service)
        return service


maker = Maker()
"""

PORT = "tcp:0:interface=127.0.0.1"


def install(folder: Path) -> None:
    """Put the plugin into a folder from which twistd is started."""
    plugins = folder / "twisted" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "talker_plugin.py").write_text(PLUGIN)


def start(*options: str, cwd: Path, listen: tuple[str, ...] = (PORT,)) -> Server:
    """Start one with these options of ours."""
    if not (cwd / "twisted").exists():
        install(cwd)
    inner = [word for each in listen for word in ("--listen", each)]
    return Server.start(*options, "--control", "ctl", "--", "talker", *inner, cwd=cwd, service="netguard-wrap")


@contextmanager
def crew(
    *options: str, cwd: Path, listen: tuple[str, ...] = (PORT,), workers: int = 2, status: int = 0, says: str = ""
) -> Iterator[Server]:
    """One for the time of a block, once all its workers serve; it must drain at the end.

    By then, what it ``says`` on its standard error has that in it; nothing unless given.
    """
    server = start("--workers", str(workers), *options, cwd=cwd, listen=listen)
    try:
        server.wait_for("started")
        yield server
    finally:
        ended = server.stop()
    assert ended == status, server.log
    assert says in "\n".join(server.err.lines)
    assert says or not server.err.lines
    assert_clean(server.log)


def ctl(folder: Path, *words: str) -> dict[str, Any]:
    """Ask its control socket."""
    with ControlClient(str(folder / "ctl")) as client:
        return client.ask(words)


class Caller:
    """A client.

    Args:
        port: where.
        source: the address from which it comes; its family is that of the address that it asks for.
    """

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        there = "::1" if ":" in source else "127.0.0.1"
        self.socket: socket.socket = socket.create_connection((there, port), PATIENCE, (source, 0))
        self._lines = self.socket.makefile("rb")

    def __enter__(self) -> Caller:  # noqa: PYI034 - no subclasses
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def say(self, line: bytes) -> bytes:
        """Say a line, and hear one; nothing when the connection is lost."""
        try:
            self.socket.sendall(line + b"\r\n")
            return self._lines.readline().strip()
        except OSError:
            return b""

    @property
    def answerer(self) -> int:
        """The process that answers; 0 when nobody does."""
        return int(self.say(b"who") or 0)

    def close(self) -> None:
        """Go."""
        self._lines.close()
        self.socket.close()


def is_served(port: int, source: str = "127.0.0.1") -> bool:
    """Whether a newcomer is."""
    with Caller(port, source) as caller:
        return bool(caller.answerer)


def ask_page(path: Path, request: str, form: str = "") -> str:
    """The whole answer to a request to the admin pages on a UNIX socket."""
    with socket.socket(socket.AF_UNIX) as peer, peer.makefile("rb") as answer:
        peer.settimeout(PATIENCE)
        peer.connect(str(path))
        peer.sendall(f"{request} HTTP/1.0\r\nContent-Length: {len(form)}\r\n\r\n{form}".encode())
        return answer.read().decode()


def pids(server: Server, count: int = 2) -> dict[int, int]:
    """The processes of the workers, by their numbers, the latest of each."""
    return {each["worker"]: each["pid"] for each in server.wait_for("worker_started", count)}


def kill(pid: int, how: signal.Signals = signal.SIGKILL) -> None:
    """Let a process that we have started get a signal."""
    with suppress(ProcessLookupError):
        os.kill(pid, how)


def until(true: Any, what: str = "it") -> Any:
    """Wait until something is so, and return it."""
    end = monotonic() + PATIENCE
    while monotonic() < end:
        if found := true():
            return found
        sleep(0.02)
    message = f"{what} did not happen"
    raise AssertionError(message)


def lives(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

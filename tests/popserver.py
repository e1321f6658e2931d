"""Runs netguard-pop as operators do, under twistd in a process of its own, and talks to it; for tests of any folder."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition, Thread
from typing import IO, Any

from attrs import define, field, frozen

from netguard.accounts import passwords
from netguard.accounts.credentials import APOP, PASSWORD
from netguard.accounts.store import Store
from netguard.process.selfsigned import self_signed

ROOT = Path(__file__).parent.parent
TWISTD = str(Path(sys.executable).with_name("twistd"))
PATIENCE = 30.0
"""Seconds after which a wait for another process has failed."""

USER = "alice"
APOP_SECRET = "apop-Zr8mQ4wX1k7LpVt2"
PASSWORD_SECRET = "pass Jd5 hN9 cB3 yG6"
CHEAP = passwords.Cost(memory=64, passes=1, lanes=1)


def environment() -> dict[str, str]:
    """What a program that is run from a test finds: this tree, and plain English."""
    return os.environ | {"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1"}


def twistd(*words: str, cwd: Path, stdin: int = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
    """Run twistd to its end."""
    return subprocess.run(
        [TWISTD, *words],
        cwd=cwd,
        env=environment(),
        stdin=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def make_maildir(path: Path, messages: dict[str, bytes] | None = None) -> Path:
    """A Maildir; every second message lies in ``cur`` and has been seen."""
    for folder in ("new", "cur", "tmp"):
        (path / folder).mkdir(parents=True, exist_ok=True)
    for number, (name, content) in enumerate((messages or {}).items()):
        folder, flags = ("cur", ":2,S") if number % 2 else ("new", "")
        (path / folder / f"{1_700_000_000 + number}.{name}.host{flags}").write_bytes(content)
    return path


def stored(maildir: Path) -> list[bytes]:
    """The messages that lie in a Maildir, in the order in which they are numbered."""
    files = [each for folder in ("new", "cur") for each in (maildir / folder).iterdir()]
    return [each.read_bytes() for each in sorted(files, key=lambda each: each.name)]


def on_the_wire(content: bytes) -> bytes:
    """A stored message as POP3 sends it, without dot-stuffing and the end: each line ends with CRLF."""
    text = re.sub(rb"\r?\n", b"\r\n", content)
    return text if not text or text.endswith(b"\r\n") else text + b"\r\n"


@frozen
class Site:
    """What an operator has: accounts, mail and a certificate in a folder.

    Args:
        folder: where.
    """

    folder: Path

    @classmethod
    def make(cls, folder: Path, messages: dict[str, bytes] | None = None) -> Site:
        """Make one with the user alice."""
        folder.chmod(0o700)
        site = cls(folder)
        site.add_user(USER, messages)
        self_signed("localhost", folder)
        return site

    def add_user(self, name: str, messages: dict[str, bytes] | None = None) -> None:
        """Add a user and a mailbox."""
        store = Store(self.accounts)
        store.create()
        store.add(name, {APOP: APOP_SECRET, PASSWORD: passwords.hashed(PASSWORD_SECRET.encode(), CHEAP)})
        store.close()
        make_maildir(self.maildir(name), messages)

    def maildir(self, name: str = USER) -> Path:
        """A user's Maildir."""
        return self.folder / "mail" / name

    @property
    def accounts(self) -> Path:
        """The accounts file."""
        return self.folder / "accounts"

    @property
    def pem(self) -> Path:
        """Key and certificate."""
        return self.folder / "self-signed.pem"

    @property
    def options(self) -> list[str]:
        """The options that netguard-pop needs here."""
        return ["--maildir", str(self.folder / "mail" / "{user}"), "--accounts", str(self.accounts)]

    @property
    def both_ports(self) -> list[str]:
        """The options for a plain port, then one for TLS, both free ones on loopback."""
        ports = ["--listen", "tcp:0:interface=127.0.0.1", "--listen", "tls:0:interface=127.0.0.1"]
        return [*self.options, "--tls", str(self.pem), *ports]


@define
class Output:
    """The lines that a process writes, as they come.

    Args:
        stream: its output; read in a thread, so that the process never waits for us.
    """

    stream: IO[str]
    lines: list[str] = field(factory=list)
    ended: bool = False
    _changed: Condition = field(factory=Condition)

    def __attrs_post_init__(self) -> None:
        """Begin to read."""
        Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with self.stream:
            for line in self.stream:
                with self._changed:
                    self.lines.append(line.rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def wait(self, true: Callable[[list[str]], Any]) -> Any:
        """Wait until the lines are as wanted, and return what was found; fail when the process ends before."""
        found: Any = None

        def look() -> bool:
            nonlocal found
            found = true(self.lines)
            return bool(found) or self.ended

        with self._changed:
            self._changed.wait_for(look, PATIENCE)
        if not found:
            message = "it was not written:\n" + "\n".join(self.lines[-5:])
            raise AssertionError(message)
        return found


@define
class Server:
    """A twistd that runs in the foreground and logs JSON lines.

    Args:
        process: the process.
        out: its standard output, with the log.
        err: its standard error.
    """

    process: subprocess.Popen[str]
    out: Output
    err: Output

    @classmethod
    def start(cls, *words: str, cwd: Path, service: str = "netguard-pop") -> Server:
        """Start a service of netguard's with these options; modules of its folder can be imported.

        It sheds no load unless the options say so: on a machine that runs many tests at once, it would.
        """
        said = {each.partition("=")[0] for each in words}
        sheds = service != "netguard-pop" or {"--shed", "--config", "--demo"} & said
        calm = () if sheds else ("--shed", "off")
        words = (service, "--log-format", "json", *calm, *words)
        return cls.twistd(*words, cwd=cwd, env=environment() | {"PYTHONPATH": f"{ROOT}{os.pathsep}{cwd}"})

    @classmethod
    def twistd(cls, *words: str, cwd: Path, **how: Any) -> Server:
        """Start a twistd in the foreground, without a pidfile unless the words name one."""
        return cls.run(TWISTD, "-n", *(() if "--pidfile" in words else ("--pidfile=",)), *words, cwd=cwd, **how)

    @classmethod
    def run(cls, *command: str, cwd: Path, **how: Any) -> Server:
        """Start any program that logs as a service does; ``how`` is for ``subprocess.Popen``."""
        process = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **{"env": environment(), **how},
        )
        assert process.stdout is not None
        assert process.stderr is not None
        return cls(process, Output(process.stdout), Output(process.stderr))

    def events(self, *names: str) -> list[dict[str, Any]]:
        """The events of these names that were logged so far, or all of them."""
        parsed = [json.loads(line) for line in list(self.out.lines) if line.startswith("{")]
        return [each for each in parsed if not names or each["event"] in names]

    def wait_for(self, name: str, count: int = 1, **fields: object) -> list[dict[str, Any]]:
        """Wait until so many events of this name, with these fields, have been logged."""

        def found(_: object) -> list[dict[str, Any]]:
            fitting = [each for each in self.events(name) if fields.items() <= each.items()]
            return fitting if len(fitting) >= count else []

        try:
            events: list[dict[str, Any]] = self.out.wait(found)
        except AssertionError:
            message = f"no {name} was told:\n{self.log[-3000:]}"  # what it wrote as an error says why
            raise AssertionError(message) from None
        return events

    def ports(self, count: int = 1) -> list[int]:
        """Its ports, in the order in which they were given, once it listens on so many."""
        return [each["server.port"] for each in self.wait_for("listening", count)]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop once it runs, wait, and return its exit status, as ``Popen`` has it."""
        if self.events("listening"):
            self.wait_for("started")
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        self.out.wait(lambda _: self.out.ended)
        self.err.wait(lambda _: self.err.ended)
        return status

    @property
    def log(self) -> str:
        """All that it wrote so far."""
        return "\n".join([*self.out.lines, *self.err.lines])


def assert_clean(log: str, *secrets: str) -> None:
    """No traceback, no raw control character and no secret stands in a log."""
    assert "Traceback" not in log
    assert "Unhandled" not in log
    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", log) is None
    for secret in (APOP_SECRET, PASSWORD_SECRET, *secrets):
        assert secret not in log
        assert secret.encode().hex() not in log


@contextmanager
def serving(*words: str, cwd: Path, service: str = "netguard-pop") -> Iterator[Server]:
    """A server for the time of a block; at the end it must drain on SIGTERM, and leave a clean log."""
    server = Server.start(*words, cwd=cwd, service=service)
    try:
        yield server
    finally:
        status = server.stop()
    assert status == 0, server.log  # nobody had to be cut
    assert server.err.lines == []
    assert_clean(server.log)


def trusting(pem: Path) -> ssl.SSLContext:
    """A client's TLS that trusts one certificate."""
    context = ssl.create_default_context(cafile=str(pem))
    context.set_alpn_protocols(["pop3"])
    return context


class Peer:
    """A blocking client.

    Args:
        port: where the server listens, on loopback.
        tls: the TLS of a connection that begins with it.
        source: the address that it connects from.
    """

    def __init__(self, port: int, tls: ssl.SSLContext | None = None, source: str = "127.0.0.1") -> None:
        self.socket: socket.socket = socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0))
        try:
            if tls is not None:
                self.start_tls(tls)
            self.greeting = self.line()
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> Peer:  # noqa: PYI034 - no subclasses
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def line(self) -> bytes:
        """One line, or what came before the end."""
        got = b""
        while not got.endswith(b"\r\n") and (more := self.socket.recv(1)):
            got += more
        return got

    def rest(self) -> bytes:
        """All that comes until the other side ends or resets the connection."""
        got = bytearray()
        try:
            while more := self.socket.recv(65_536):
                got += more
        except (ConnectionResetError, ssl.SSLEOFError):
            pass
        return bytes(got)

    def send(self, data: bytes) -> None:
        """Send."""
        self.socket.sendall(data)

    def ask(self, command: bytes) -> bytes:
        """Send a command and read one line."""
        self.send(command + b"\r\n")
        return self.line()

    def gone(self) -> bool:
        """Whether the other side ends the connection, one way or the other, without another byte."""
        try:
            return self.socket.recv(1) == b""
        except (ConnectionResetError, ssl.SSLEOFError):
            return True

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Switch to TLS."""
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")

    def apop(self, name: str = USER, secret: str = APOP_SECRET) -> bytes:
        """Try to log in by APOP; returns the answer."""
        stamp = self.greeting[self.greeting.index(b"<") : self.greeting.index(b">") + 1]
        digest = hashlib.md5(stamp + secret.encode(), usedforsecurity=False).hexdigest()
        return self.ask(f"APOP {name} {digest}".encode())

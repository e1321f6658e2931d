"""Real twistd plugins, Twisted's own and a third party's, run in processes of their own under guards and still work."""

from __future__ import annotations

import ftplib
import http.client
import importlib.util
import io
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.popserver import PATIENCE, Server, twistd

LOOPBACK = "127.0.0.1"
FREE = f"tcp:0:interface={LOOPBACK}"
PAGE = b"hello from a file\n"


@contextmanager
def running(*words: str, cwd: Path) -> Iterator[Server]:
    """A twistd in the foreground for the time of a block; no traceback may stand in what it wrote."""
    server = Server.twistd(*words, cwd=cwd)
    try:
        yield server
    finally:
        server.stop()
    assert "Traceback" not in server.log
    assert "Unhandled" not in server.log


@contextmanager
def wrapped(*words: str, cwd: Path, guards: tuple[str, ...] = ()) -> Iterator[Server]:
    """A plugin under netguard-wrap."""
    with running("netguard-wrap", "--log-format", "json", *guards, "--", *words, cwd=cwd) as server:
        yield server


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with one file to be served."""
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "a.txt").write_bytes(PAGE)
    return folder


class Talk:
    """A blocking connection.

    Args:
        port: where, on loopback.
    """

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((LOOPBACK, port), PATIENCE)
        self.heard = b""

    def say(self, text: bytes) -> None:
        """Send."""
        self.socket.sendall(text)

    def until(self, wanted: bytes) -> bytes:
        """What came, once the wanted bytes are in it."""
        while wanted not in self.heard:
            more = self.socket.recv(65_536)
            assert more, self.heard
            self.heard += more
        return self.heard

    def gone(self) -> bool:
        """Whether the other side ends or resets the connection, in time."""
        try:
            while self.socket.recv(65_536):
                pass
        except ConnectionResetError:
            pass
        return True


Connect = Callable[[int], Talk]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connects; all connections are closed at the end, whatever happened."""
    talks: list[Talk] = []

    def begin(port: int) -> Talk:
        talks.append(Talk(port))
        return talks[-1]

    yield begin
    for talk in talks:
        talk.socket.close()


def get(port: int) -> bytes:
    """The file, over HTTP."""
    asking = http.client.HTTPConnection(LOOPBACK, port, timeout=PATIENCE)
    try:
        asking.request("GET", "/a.txt", headers={"Connection": "close"})
        answer = asking.getresponse()
        assert answer.status == 200
        return answer.read()
    finally:
        asking.close()


def staying(talk: Talk) -> Talk:
    """Get the file, and keep the connection: that it was let in is certain then, whatever the order of accepting."""
    talk.say(b"GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n")
    talk.until(PAGE)
    return talk


def assert_idle_is_cut(server: Server, talk: Talk) -> None:
    """A peer that says nothing is cut, with the reason in the log."""
    assert talk.gone()
    (cut,) = server.wait_for("cut", option="idle")
    assert (cut["guard"], cut["limit"], cut["client.address"]) == ("IdleTimeout", "1s", LOOPBACK)


# an endpoint string in somebody else's plugin


@pytest.mark.parametrize("text", ["guard:{free}:idle=1s:max-per-peer=2", "guard:idle=1s:max-per-peer=2:{free}"])
def test_twistd_web_listens_on_a_guard_string(text: str, root: Path, connect: Connect) -> None:
    """`twistd web --listen guard:...` serves its files, cuts the silent and refuses the crowd."""
    with running("web", "--listen", text.format(free=FREE), "--path", str(root), cwd=root) as server:
        line = server.out.wait(lambda lines: [each for each in lines if "listening server.address" in each])[0]
        port = int(line.partition("server.port=")[2].split()[0])
        assert get(port) == PAGE
        inside = [staying(connect(port)), staying(connect(port))]
        assert connect(port).gone()
        assert all(each.gone() for each in inside)
        server.out.wait(lambda lines: [each for each in lines if "option=idle" in each])
        server.out.wait(lambda lines: [each for each in lines if "option=max-per-peer" in each])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("guard:tcp:0:idel=3", "endpoint guard:tcp:0: unknown option 'idel'; did you mean 'idle'?"),
        ("guard:tcp:0:idle=3x", "endpoint guard:tcp:0: option idle: '3x' is not a duration such as"),
        ("guard:tcp:99999", "endpoint tcp:99999: '99999' is not a port from 0 to 65535 or a service"),
        ("guard:guard:tcp:0", "guard: stands inside what is guarded already"),
    ],
)
def test_a_wrong_guard_string_ends_twistd_with_one_line(text: str, said: str, root: Path) -> None:
    """It is not the plugin that is at fault, and there is nothing to trace back."""
    ended = twistd("-n", "--pidfile=", "web", "--listen", text, cwd=root)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith(f"twistd: {said}")
    assert ended.stderr.count("\n") == 1


# netguard-wrap


def test_web_under_guards(root: Path, connect: Connect) -> None:
    """Files come, the silent go, and the crowd stays out; one Site on two ports counts as one service."""
    guards = ("--idle", "1s", "--max-per-peer", "2")
    plugin = ("web", "--listen", FREE, "--listen", FREE, "--path", str(root))
    with wrapped(*plugin, cwd=root, guards=guards) as server:
        first, second = server.ports(2)
        assert [each["service"] for each in server.events("guarding")] == ["Site on TCP4ServerEndpoint"] * 2
        assert get(first) == get(second) == PAGE
        assert_idle_is_cut(server, connect(first))
        one, other = staying(connect(first)), staying(connect(second))
        assert connect(first).gone()
        assert connect(second).gone()
        refused = server.wait_for("refused", 2)
        assert {(each["option"], each["limit"]) for each in refused} == {("max-per-peer", "2")}
        assert one.gone()
        assert other.gone()
        assert get(second) == PAGE


def test_ftp_under_guards(root: Path, connect: Connect) -> None:
    """Login, listing and a file work; that the data connections are not guarded is said."""
    with wrapped("ftp", "--port", "0", "--root", str(root), cwd=root, guards=("--idle", "1s")) as server:
        (port,) = server.ports()
        (unguarded,) = server.events("unguarded")
        assert "data connections" in unguarded["reason"]
        with ftplib.FTP(timeout=PATIENCE) as ftp:  # noqa: S321 - on loopback
            ftp.connect(LOOPBACK, port)
            ftp.login()
            assert ftp.nlst(".") == ["a.txt"]
            lines: list[str] = []
            ftp.retrlines("LIST", lines.append)
            assert lines[0].endswith("a.txt")
            content = io.BytesIO()
            ftp.retrbinary("RETR a.txt", content.write)
            assert content.getvalue() == PAGE
        assert_idle_is_cut(server, connect(port))


def test_words_under_guards(root: Path, connect: Connect) -> None:
    """Two IRC users meet and talk."""
    users = ("--auth", "memory:alice:secret:bob:secret")
    with wrapped("words", "--irc-port", FREE, *users, cwd=root, guards=("--max-per-peer", "2")) as server:
        (port,) = server.ports()
        people = {name: connect(port) for name in (b"alice", b"bob")}
        for name, talk in people.items():
            talk.say(b"PASS secret\r\nNICK %b\r\nUSER %b 0 * :%b\r\n" % (name, name, name))
            talk.until(b" 001 " + name)
        people[b"alice"].say(b"PRIVMSG bob :hello under guards\r\n")
        people[b"bob"].until(b"hello under guards")
        assert connect(port).gone()
        server.wait_for("refused", option="max-per-peer")
        for talk in people.values():  # who stays is waited for when the service ends
            talk.say(b"QUIT\r\n")
            assert talk.gone()


def needs(program: str) -> str:
    """A program's path, or a reason to skip."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def needs_conch() -> None:
    """Conch's own dependencies, or a reason to skip."""
    for name in ("bcrypt", "appdirs"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name}, of twisted[conch], is not installed")


def test_conch_under_guards(root: Path, connect: Connect) -> None:
    """An OpenSSH client agrees on keys with the server; one that says nothing is cut."""
    needs_conch()
    scan = needs("ssh-keyscan")
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    (root / "ssh_host_ed25519_key").write_bytes(private)
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    (root / "ssh_host_ed25519_key.pub").write_bytes(public)
    with wrapped("conch", "--port", FREE, "--data", str(root), cwd=root, guards=("--idle", "1s")) as server:
        (port,) = server.ports()
        keys = subprocess.run(
            [scan, "-t", "ed25519", "-T", "20", "-p", str(port), LOOPBACK],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert "ssh-ed25519 AAAA" in keys.stdout, keys.stderr
        assert_idle_is_cut(server, connect(port))


TELNET = [
    (b"Username: ", b"alice\r\n"),
    (b"Password: ", b"\xff\xfd\x01secret\r\n"),  # DO ECHO: the server may hide what is typed
    (b"\xff\xfc\x01", b"\xff\xfe\x01"),  # WONT ECHO, DONT ECHO: it need not any more
    (b">>> ", b"\xff\xfd\x01\xff\xfb\x22\xff\xfb\x1f\xff\xfb\x03"),  # yes to all: manhole logs a no as a traceback
    (b">>> ", b"1234 * 5678\r\n"),
]


def test_manhole_under_guards(root: Path, connect: Connect) -> None:
    """A person logs in by telnet and uses the interpreter; telnet and SSH count as one service."""
    needs_conch()
    passwords = root / "passwd"
    passwords.write_text("alice:secret\n")
    plugin = ("manhole", "--telnetPort", FREE, "--sshPort", FREE, "--passwd", str(passwords))
    keys = ("--sshKeyDir", str(root), "--sshKeySize", "2048")
    with wrapped(*plugin, *keys, cwd=root, guards=("--max-per-peer", "1")) as server:
        telnet, ssh = server.ports(2)
        talk = connect(telnet)
        for prompt, answer in TELNET:
            talk.until(prompt)
            talk.say(answer)
        talk.until(b"7006652")
        assert connect(ssh).gone()
        server.wait_for("refused", option="max-per-peer")


def test_a_third_partys_application_under_guards(root: Path, connect: Connect) -> None:
    """Magic Wormhole's transit relay connects two clients with one token, and serves WebSockets beside."""
    if importlib.util.find_spec("wormhole_transit_relay") is None:
        pytest.skip("magic-wormhole-transit-relay is not installed")
    plugin = ("transitrelay", "--port", FREE, "--websocket", FREE, "--websocket-url", "ws://localhost:1/")
    with wrapped(*plugin, cwd=root, guards=("--idle", "2s", "--max-connections", "4")) as server:
        relay, websocket = server.ports(2)
        assert [each["service"] for each in server.events("guarding")] == [
            "ServerFactory on TCP4ServerEndpoint",
            "WebSocketServerFactory on TCP4ServerEndpoint",
        ]
        one, other = connect(relay), connect(relay)
        for talk in (one, other):
            talk.say(b"please relay " + b"ab" * 32 + b"\n")
        for talk in (one, other):
            talk.until(b"ok\n")
        message = os.urandom(300_000)
        one.say(message)
        other.until(message[-100:])
        assert other.heard == b"ok\n" + message
        shake = connect(websocket)
        shake.say(
            b"GET / HTTP/1.1\r\nHost: localhost:1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert b" 101 " in shake.until(b"\r\n\r\n")
        assert one.gone()
        assert other.gone()
        server.wait_for("cut", option="idle")


# the command line of netguard-wrap, under the real twistd


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--idel", "3", "--", "web"], "unknown option --idel; did you mean --idle?"),
        (["--idle", "3x", "--", "web"], "option idle: '3x' is not a duration such as"),
        (["--config", "none.toml", "--", "web"], "none.toml: No such file or directory"),
        (["--", "wbe"], "unknown plugin 'wbe'; did you mean 'web'?"),
        (["--", "web", "--lisen", "tcp:0"], "web: unknown option --lisen; did you mean --listen?"),
        (["--", "web", "--listen", "tpc:0"], "web: ValueError: Unknown endpoint type: 'tpc'"),
        (["--", "web", "--listen", "guard:tcp:0"], "web: StreamServerEndpointService listens under guard: already"),
        (["--", "procmon", "true"], "procmon: nothing here can be guarded"),
        (["--", "netguard-wrap", "--", "web"], "netguard-wrap has guards of its own"),
    ],
)
def test_a_mistake_ends_twistd_with_one_line(words: list[str], said: str, root: Path) -> None:
    """One line on standard error, status 1, and neither help nor traceback."""
    ended = twistd("-n", "--pidfile=", "netguard-wrap", *words, cwd=root)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith(f"twistd netguard-wrap: {said}")
    assert re.fullmatch(r"[^\n]*\(see twistd [a-z-]+ --help\)\n", ended.stderr)


def test_the_help_is_that_of_the_command(root: Path) -> None:
    """`twistd netguard-wrap --help` explains the guards, `-- web --help` the plugin."""
    own = twistd("netguard-wrap", "--help", cwd=root)
    assert own.returncode == 0
    assert "--max-per-peer=" in own.stdout
    inner = twistd("netguard-wrap", "--", "web", "--help", cwd=root)
    assert inner.returncode == 0
    assert "netguard-wrap [guard options] [--config FILE] -- web" in inner.stdout


def test_a_daemon_under_guards(root: Path, tmp_path: Path, connect: Connect) -> None:
    """It says on the terminal what it guards, writes lines of JSON into its file, and stops as any daemon."""
    (tmp_path / "guards.toml").write_text("[guards]\nmax-per-peer = 1\n")
    log, pidfile = tmp_path / "own.log", tmp_path / "own.pid"
    started = twistd(
        *("--logfile", str(log), "--pidfile", str(pidfile)),
        *("netguard-wrap", "--config", "guards.toml", "--log-format", "json"),
        *("--", "web", "--listen", FREE, "--path", str(root)),
        cwd=tmp_path,
    )
    assert (started.returncode, started.stdout) == (0, "")
    assert started.stderr == "netguard-wrap guards Site on TCP4ServerEndpoint\n"
    pid = int(pidfile.read_text())
    try:
        port = next(each["server.port"] for each in rows(log) if each["event"] == "listening")
        staying(connect(port))
        assert connect(port).gone()
        assert any(each["event"] == "refused" and each["limit"] == "1" for each in rows(log))
    finally:
        ended = os.pidfd_open(pid)
        os.kill(pid, signal.SIGTERM)
        wait_for_end(ended)
    assert not pidfile.exists()
    assert rows(log)[-1]["message"] == "Server Shut Down."


def rows(log: Path) -> list[dict[str, Any]]:
    """The lines of a log."""
    return [json.loads(line) for line in log.read_text().splitlines()]


def wait_for_end(process: int) -> None:
    """Wait until a process, by its descriptor, has ended."""
    try:
        assert select.select([process], [], [], PATIENCE)[0]
    finally:
        os.close(process)

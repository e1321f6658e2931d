"""Promise 15: on SIGTERM nobody new is let in, what is under way is finished, and at a deadline the rest is cut."""

from __future__ import annotations

import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import sleep

import pytest

from tests.popserver import (
    PATIENCE,
    TWISTD,
    Output,
    Peer,
    Server,
    Site,
    assert_clean,
    environment,
    on_the_wire,
    serving,
    stored,
    trusting,
)

BIG = b"Subject: big\n\n" + b"Sixty-four characters of a mail that is five megabytes long....\n" * 82_000
STOPS = b"-ERR [SYS/TEMP] the service stops, try again later\r\n"
LOOPBACK = "127.0.0.1"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Accounts, and mail of which one is big."""
    return Site.make(tmp_path, {"big": BIG})


@pytest.fixture
def start(site: Site) -> Iterator[Callable[..., Server]]:
    """Starts servers; what still runs at the end is killed."""
    started: list[Server] = []

    def begin(*words: str) -> Server:
        started.append(Server.start(*site.both_ports, *words, cwd=site.folder))
        return started[-1]

    yield begin
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()


@pytest.fixture
def peers() -> Iterator[ExitStack]:
    """Keeps peers, and closes them at the end."""
    with ExitStack() as stack:
        yield stack


def begin(server: Server) -> None:
    """TERM, and wait until it drains."""
    server.wait_for("started")
    server.process.send_signal(signal.SIGTERM)
    server.wait_for("draining")


def all_of(output: Output) -> None:
    """Wait until everything is read."""
    if not output.ended:
        output.wait(lambda _: output.ended)


def tells(output: Output, word: str) -> None:
    """Wait until it writes a word."""
    output.wait(lambda lines: any(word in line for line in lines))


def ended(server: Server, status: int) -> None:
    """It has ended so, and left a clean log."""
    assert server.process.wait(PATIENCE) == status
    for output in (server.out, server.err):
        all_of(output)
    assert_clean(server.log)
    assert server.err.lines == []
    assert len(server.events("stopped")) == 1


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("reactor", ["epoll", "asyncio"])
def test_a_reply_in_flight_arrives_whole(tls: bool, reactor: str, site: Site) -> None:
    """Five megabytes that a client takes slowly, in clear or inside TLS; then its next command is answered."""
    command = [TWISTD, "-n", "--pidfile=", "--reactor", reactor, "netguard-pop", "--log-format", "json"]
    with subprocess.Popen(
        [*command, *site.both_ports],
        cwd=site.folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        server = Server(process, Output(process.stdout), Output(process.stderr))
        port = server.ports(2)[tls]
        with Peer(port, trusting(site.pem) if tls else None) as peer:
            assert peer.apop().startswith(b"+OK")
            peer.send(b"RETR 1\r\n")
            assert peer.line() == b"+OK message follows\r\n"
            begin(server)
            got = bytearray()
            while not got.endswith(b"\r\n.\r\n"):
                got += peer.socket.recv(65_536)
                if len(got) < 100_000:
                    sleep(0.001)  # it has all the time in the world, as long as it takes something
            assert got == on_the_wire(BIG) + b".\r\n"
            peer.send(b"STAT\r\n")
            assert peer.line() == STOPS
        ended(server, 0)
        (stopped,) = server.events("stopped")
        assert (stopped["connections"], stopped["cut"]) == (1, 0)


@pytest.mark.parametrize("gone", [False, True])
def test_nothing_of_an_update_is_lost(gone: bool, tmp_path: Path) -> None:
    """QUIT came before TERM: all that was marked is removed, though the client is gone by then."""
    count = 3000
    site = Site.make(tmp_path, {f"m{number}": b"Subject: x\n\nx\n" for number in range(count)})
    server = Server.start(*site.options, "--listen", f"tcp:0:interface={LOOPBACK}", cwd=site.folder)
    with Peer(server.ports()[0]) as peer:
        assert peer.apop().startswith(b"+OK")
        for first in range(1, count, 50):
            peer.send(b"".join(b"DELE %d\r\n" % number for number in range(first, first + 50)))
            for _ in range(50):
                assert peer.line().startswith(b"+OK")
        server.wait_for("started")
        peer.send(b"QUIT\r\n")
        if gone:
            peer.socket.close()
        server.process.send_signal(signal.SIGTERM)
        if not gone:
            assert peer.line() == b"+OK bye\r\n"
        ended(server, 0)
    (session,) = server.events("session")
    if session["deleted"] or not gone:  # else its end came before its QUIT was read
        assert stored(site.maildir()) == []
        assert session["deleted"] == count


def test_what_was_only_marked_stays(site: Site) -> None:
    """A session that is ended by the service has no update."""
    with serving(*site.both_ports, cwd=site.folder) as server, Peer(server.ports(2)[0]) as peer:
        assert peer.apop().startswith(b"+OK")
        assert peer.ask(b"DELE 1").startswith(b"+OK")
        begin(server)
        assert peer.ask(b"NOOP") == STOPS
    assert len(stored(site.maildir())) == 1


def hostile(port: int, stack: ExitStack) -> None:
    """Clients that never read, never write, close their half, send half a command, or are silent inside TLS."""
    reader = stack.enter_context(Peer(port))
    assert reader.apop().startswith(b"+OK")
    reader.send(b"RETR 1\r\n" * 3)
    stack.enter_context(Peer(port))
    half = stack.enter_context(Peer(port))
    half.socket.shutdown(socket.SHUT_WR)
    stack.enter_context(Peer(port)).send(b"US")
    handshaking = stack.enter_context(Peer(port))
    assert handshaking.ask(b"STLS").startswith(b"+OK")


@pytest.mark.parametrize("second", [False, True])
def test_who_does_not_go_is_cut(second: bool, start: Callable[..., Server], peers: ExitStack) -> None:
    """At the deadline, or by a second signal at once; the status says that somebody was."""
    within = "1min" if second else "2s"
    server = start("--drain", within)
    hostile(server.ports(2)[0], peers)
    server.wait_for("settled")
    begin(server)
    if second:
        server.process.send_signal(signal.SIGTERM)
    ended(server, -signal.SIGTERM)
    (stopped,) = server.events("stopped")
    assert stopped["cut"] >= 1
    assert stopped["drained"] < 20
    if not second:
        assert {each["option"] for each in server.events("cut")} >= {"drain"}


def test_many_connections_and_nobody_new(start: Callable[..., Server], peers: ExitStack) -> None:
    """A thousand are told and leave; who connects meanwhile is refused by the kernel."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    try:
        limits = ("--max-connections", "off", "--max-per-peer", "off", "--shed", "off", "--drain", "8s")
        server = start(*limits)
        port = server.ports(2)[0]
        many = [peers.enter_context(Peer(port)) for _ in range(1000)]
        begin(server)
        with pytest.raises(ConnectionRefusedError):
            Peer(port)
        assert many[500].ask(b"CAPA") == STOPS
        for peer in many:
            peer.socket.settimeout(PATIENCE)
            assert peer.rest() in (STOPS, b"")
        ended(server, 0)
        (stopped,) = server.events("stopped")
        assert (stopped["connections"], stopped["cut"]) == (1000, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_at_any_moment_of_the_start(site: Site) -> None:
    """It ends, and it leaves nothing that would keep the next start from running."""
    for moment in range(10):
        words = [TWISTD, "-n", "netguard-pop", *site.both_ports, "--drain", "5s"]
        with subprocess.Popen(
            words, cwd=site.folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdout is not None
            out = Output(process.stdout)
            if moment < 6:
                sleep(moment * 0.1)
            else:
                word = ("starting up", "reactor class", "starting on", "started")[moment - 6]
                tells(out, word)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) in (0, -signal.SIGTERM)
            all_of(out)
            assert not [line for line in out.lines if "Traceback" in line], "\n".join(out.lines)
    with serving(*site.both_ports, cwd=site.folder) as server:
        assert server.ports(2)


APPLICATION = """
from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import MultiService
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.python import usage

class Slow(Protocol):
    "Answers each line one second later, as long as its service lives."
    def dataReceived(self, data):
        reactor.callLater(1, self.answer, data)
    def answer(self, data):
        if data == b"stop":
            reactor.stop()
        self.transport.write((b"alive " if self.factory.service.running else b"dead ") + data)

class Options(usage.Options):
    pass

def makeService(options):
    factory = Factory.forProtocol(Slow)
    factory.service = MultiService()
    endpoint = serverFromString(reactor, "tcp:0:interface=127.0.0.1")
    StreamServerEndpointService(endpoint, factory).setServiceParent(factory.service)
    return factory.service
"""


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Server]:
    """Somebody else's plugin, which knows nothing of netguard, under netguard-wrap."""
    plugins = tmp_path / "twisted" / "plugins"
    plugins.mkdir(parents=True)
    (tmp_path / "slow.py").write_text(APPLICATION)
    (plugins / "slow_plugin.py").write_text(
        "from twisted.application.service import ServiceMaker\n"
        "slow = ServiceMaker('slow', 'slow', 'answers late', 'slow')\n"
    )
    command = [TWISTD, "-n", "--pidfile=", "netguard-wrap", "--log-format", "json", "--drain", "20s", "--", "slow"]
    here = environment()
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=here | {"PYTHONPATH": f"{tmp_path}:{here['PYTHONPATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        server = Server(process, Output(process.stdout), Output(process.stderr))
        yield server
        server.stop()


def test_another_application_lives_until_its_peers_have_their_answers(application: Server) -> None:
    """Its services are stopped behind the last connection; one that says nothing is closed."""
    port = application.ports()[0]
    with (
        socket.create_connection((LOOPBACK, port), PATIENCE) as asking,
        socket.create_connection((LOOPBACK, port), PATIENCE) as silent,
    ):
        asking.sendall(b"question")
        begin(application)
        assert asking.recv(100) == b"alive question"
        asking.sendall(b"another")
        assert asking.recv(100) == b"alive another"
        assert (asking.recv(1), silent.recv(1)) == (b"", b"")
    ended(application, 0)


def test_a_reactor_that_is_stopped_meanwhile_stops(application: Server) -> None:
    """Nothing hangs, and nothing is stopped twice."""
    port = application.ports()[0]
    with socket.create_connection((LOOPBACK, port), PATIENCE) as asking:
        asking.sendall(b"stop")
        begin(application)
        assert application.process.wait(PATIENCE) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="its queue is Linux's")
def test_who_has_connected_but_was_not_accepted_is_served(start: Callable[..., Server], peers: ExitStack) -> None:
    """The process is stopped while they connect, and finds the signal first when it goes on."""
    server = start("--max-per-peer", "off")
    port = server.ports(2)[0]
    server.wait_for("started")
    server.process.send_signal(signal.SIGSTOP)
    waiting = [peers.enter_context(socket.create_connection((LOOPBACK, port), PATIENCE)) for _ in range(40)]
    server.process.send_signal(signal.SIGTERM)
    server.process.send_signal(signal.SIGCONT)
    for each in waiting:
        got = b""
        while more := each.recv(1000):
            got += more
        assert got.startswith(b"+OK POP3 ready ")
        assert got.endswith(STOPS)
    ended(server, 0)

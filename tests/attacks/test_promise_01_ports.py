"""Promise 1: every port option takes a service name or a number; all else is a clear error; port 0 tells the real."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from netguard.plugins.listening import listening
from netguard.policy import Policy
from netguard.units import port
from tests.conftest import Logged
from tests.popserver import PATIENCE, ROOT, Server, Site, serving, twistd


class Recorder:
    """A reactor that only notes where somebody wants to listen or connect; nothing is opened."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def listenTCP(self, number: int, *_: object, **__: object) -> Any:
        """Note (IReactorTCP)."""
        self.seen.append(number)
        raise OSError

    def connectTCP(self, _: str, number: int, *__: object, **___: object) -> Any:
        """Note (IReactorTCP)."""
        self.seen.append(number)
        raise OSError


@implementer(IOpenSSLServerConnectionCreator)
class NoTLS:
    """Stands where a certificate would be; nobody connects."""

    def serverConnectionForTLS(self, tlsProtocol: object) -> Any:
        """Begin nothing (IOpenSSLServerConnectionCreator)."""


def guarded_server(name: str) -> int:
    """The port on which ``guard:tcp:NAME`` would listen."""
    reactor: Any = Recorder()
    maybeDeferred(serverFromString(reactor, f"guard:tcp:{name}").listen, Factory.forProtocol(Protocol)).addErrback(_ok)
    return int(reactor.seen[0])


def guarded_client(name: str) -> int:
    """The port to which ``guard:tcp:localhost:NAME`` would connect."""
    reactor: Any = Recorder()
    endpoint = clientFromString(reactor, f"guard:tcp:127.0.0.1:{name}")
    maybeDeferred(endpoint.connect, Factory.forProtocol(Protocol)).addErrback(_ok)
    return int(reactor.seen[0])


def of_netguard_pop(kind: str) -> Callable[[str], int]:
    """The port on which netguard-pop would listen for ``--listen KIND:NAME``."""

    def listen(name: str) -> int:
        reactor: Any = Recorder()
        tls: Any = NoTLS()
        service = listening(reactor, f"{kind}:{name}", Policy(), Factory.forProtocol(Protocol), tls)
        maybeDeferred(service.endpoint.listen, service.factory).addErrback(_ok)
        return int(reactor.seen[0])

    return listen


def _ok(_: object) -> None:
    """The recorder opens nothing."""


SURFACES = {
    "guard: server": guarded_server,
    "guard: client": guarded_client,
    "--listen tcp:": of_netguard_pop("tcp"),
    "--listen tls:": of_netguard_pop("tls"),
    "the unit": port,
}

SERVICES = ("pop3", "pop3s", "http", "auth", "domain")


@pytest.mark.parametrize("surface", SURFACES.values(), ids=SURFACES.keys())
@pytest.mark.parametrize("name", SERVICES)
def test_a_name_is_the_machine_s_number(surface: Callable[[str], int], name: str) -> None:
    """Every surface takes the name of a service for the number that getservbyname has."""
    assert surface(name) == socket.getservbyname(name, "tcp")


@pytest.mark.parametrize("surface", SURFACES.values(), ids=SURFACES.keys())
@pytest.mark.parametrize("number", [0, 1, 1023, 1024, 65535])
def test_numbers_up_to_the_limits(surface: Callable[[str], int], number: int) -> None:
    """Every surface takes 0 and 65535 and what lies between."""
    assert surface(str(number)) == number


HOSTILE = [
    "", " ", "-1", "65536", "70000", "4294967406", "1e3", "0x6e", "1_10", "+110", "110.0", "110x", " pop3 110",
    "POP 3", "pop33", "no-such-service", "pop3\x00", "pop3\n", "\x1b[2J", "\u0661\u0661\u0660", "\uff11\uff11\uff10",
    "pop3/tcp", "9" * 5000, "x" * 5000, "\udcff", "../../etc/services", "%s%n",
]  # fmt: skip


@pytest.mark.parametrize("surface", SURFACES.values(), ids=SURFACES.keys())
@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:20]))
def test_anything_else_is_a_clear_error(surface: Callable[[str], int], text: str) -> None:
    """What is neither is refused before anything is opened, and the error says what would have been one."""
    with pytest.raises(ValueError, match="is not a port from 0 to 65535 or a service that this machine knows"):
        surface(text)


@given(st.text(max_size=30))
@example("0" * 30)
@example("00110")
def test_any_text_is_a_port_or_an_error(text: str) -> None:
    """Whatever is written, the answer is a number from 0 to 65535 that somebody could have meant, or an error."""
    try:
        number = port(text)
    except ValueError:
        return
    assert 0 <= number <= 65535
    assert re.fullmatch(r"\s*[0-9]+\s*", text) is None or int(text) == number


async def test_port_0_tells_the_real_port(logged: Logged) -> None:
    """Behind guard: and for port 0, the event has the port that was found, and it is open."""
    from twisted.internet import reactor

    endpoint = serverFromString(reactor, "guard:tcp:0:interface=127.0.0.1")
    listening = await endpoint.listen(Factory.forProtocol(Protocol))
    (event,) = logged.named("listening")
    assert event["server.port"] == listening.getHost().port > 0
    await maybeDeferred(listening.stopListening)


def test_port_0_of_netguard_pop(tmp_path: Path) -> None:
    """It tells each of its real ports, and each accepts connections."""
    site = Site.make(tmp_path, {})
    with serving(*site.both_ports, cwd=tmp_path) as server:
        ports = server.ports(2)
        assert len(set(ports)) == 2
        for number in ports:
            socket.create_connection(("127.0.0.1", number), PATIENCE).close()


def test_port_0_under_netguard_wrap(tmp_path: Path) -> None:
    """What listens under netguard-wrap tells its real port, too."""
    web = ["web", "--listen", "tcp:0:interface=127.0.0.1", "--path", "."]
    server = Server.twistd("netguard-wrap", "--log-format", "json", "--", *web, cwd=tmp_path)
    try:
        (port,) = server.ports()
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    finally:
        server.stop()


@pytest.mark.parametrize(
    "words",
    [
        ("netguard-wrap", "--", "web", "--listen", "guard:tcp:70000"),
        ("netguard-wrap", "--", "web", "--listen", "tcp:70000"),
        ("netguard-wrap", "--", "ftp", "--port", "70000"),
        ("web", "--listen", "guard:tcp:no-such-service"),
        ("web", "--listen", "guard:tcp:70000"),
        ("netguard-pop", "--maildir", "{user}", "--accounts", "a", "--listen", "tcp:70000"),
    ],
    ids=" ".join,
)
def test_a_mistake_ends_twistd_with_one_line(words: tuple[str, ...], tmp_path: Path) -> None:
    """On a command line, a port that is none ends the start with status 1 and one line, without a traceback."""
    Site.make(tmp_path, {})
    words = tuple(str(tmp_path / "accounts") if word == "a" else word for word in words)
    ended = twistd("-n", "--pidfile=", *words, cwd=tmp_path)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "70000" in line or "no-such-service" in line or line == "twistd: bind(): port must be 0-65535."
    assert "Traceback" not in ended.stdout + ended.stderr


def test_nothing_parses_a_port_by_itself() -> None:
    """No module of netguard turns the text of a port into a number but the unit, so that this promise has one place."""
    for path in (ROOT / "netguard").rglob("*.py"):
        if path.name != "units.py":
            assert "getservby" not in path.read_text(), path

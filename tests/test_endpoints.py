"""`guard:` strings make guarded endpoints of any kind, and whatever is wrong with one is told in one line."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import (
    AdoptedStreamServerEndpoint,
    StandardIOEndpoint,
    UNIXServerEndpoint,
    clientFromString,
    serverFromString,
)
from twisted.internet.interfaces import (
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpointStringParser,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.plugin import IPlugin, getPlugins
from zope.interface.verify import verifyObject

from netguard import endpoints
from netguard.endpoints import GuardClientParser, GuardServerParser, client_endpoint, server_endpoint
from netguard.errors import OptionError
from netguard.guarded_endpoints import GuardedClientEndpoint, GuardedServerEndpoint
from netguard.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Logged

# Twisted's own TLS code calls what pyOpenSSL deprecates.
old_pyopenssl = pytest.mark.filterwarnings("ignore:.*(pyOpenSSL|cryptography):DeprecationWarning")

IDLE = Policy.from_options({"idle": "30s"}, "guard")
POP3 = socket.getservbyname("pop3")


@pytest.fixture(autouse=True)
def _hook() -> Iterator[None]:
    """Errors set `sys.excepthook`; give it back."""
    before = sys.excepthook
    yield
    sys.excepthook = before


def server(text: str) -> Any:
    """A server endpoint, as Twisted makes it from a string."""
    return serverFromString(MemoryReactorClock(), text)


def client(text: str) -> Any:
    """A client endpoint, as Twisted makes it from a string."""
    return clientFromString(MemoryReactorClock(), text)


def complaint(text: str, make: Any = server) -> str:
    """What is said about a wrong string."""
    with pytest.raises(OptionError) as caught:
        make(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_parsers_are_plugins_of_twisted() -> None:
    """They are found by their prefix, and are what Twisted asks for."""
    for parser, interface in (
        (GuardServerParser(), IStreamServerEndpointStringParser),
        (GuardClientParser(), IStreamClientEndpointStringParserWithReactor),
    ):
        assert verifyObject(IPlugin, parser)
        assert verifyObject(interface, parser)
        assert "guard" in [getattr(each, "prefix", None) for each in getPlugins(interface)]


@pytest.mark.parametrize(
    "text",
    [
        "guard:tcp:8080:idle=30s",
        "guard:idle=30s:tcp:8080",
        "guard:tcp:idle=30s:8080",
        "guard:tcp:port=8080:idle=30s",
        "GUARD:tcp:8080:idle=30",
    ],
)
def test_guards_keywords_stand_before_or_behind_the_endpoint(text: str) -> None:
    """Where a keyword stands makes no difference: Twisted itself does not say where it stood."""
    endpoint = server(text)
    assert isinstance(endpoint, GuardedServerEndpoint)
    assert (endpoint.policy, endpoint._port) == (IDLE, 8080)


def test_a_bare_guard_has_the_defaults_of_its_surface() -> None:
    """What is on without a word is what the catalogue says; `off` switches it off."""
    assert server("guard:tcp:80").policy == Policy.from_options({}, "guard")
    assert not any(type(each).__name__ == "IdleTimeout" for each in server("guard:tcp:80:idle=off").policy.guards)


@old_pyopenssl
def test_a_proxy_s_header_comes_before_tls(tmp_path: Path) -> None:
    """The port listens without TLS then, and the guarded factory begins it; without the option all is as before."""
    certificate = tmp_path / "server.pem"
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    for option, listening in (("", "sslServers"), (":proxy-from=10.0.0.0/8", "tcpServers")):
        reactor: Any = MemoryReactorClock()
        endpoint = serverFromString(reactor, f"guard:ssl:0:privateKey={certificate}{option}")
        endpoint.listen(Factory.forProtocol(Protocol))
        ((_, factory, *_),) = getattr(reactor, listening)
        assert (factory.tls is not None) is bool(option)


def test_a_list_is_written_with_commas() -> None:
    """Two prefixes, and two guards to observe."""
    policy = server("guard:tcp:80:peer-prefix=24,56:observe=IdleTimeout,ConnectionLimit").policy
    assert policy.options()["peer-prefix"] == "24,56"
    assert policy.options()["observe"] == "ConnectionLimit,IdleTimeout"


@pytest.mark.parametrize(
    "text", ["guard:tcp:pop3", "guard:tcp6:pop3", "guard:tcp:port=pop3", "guard:tcp:pop3:interface=127.0.0.1"]
)
def test_a_port_may_be_a_service(text: str) -> None:
    """The machine's services database knows its number."""
    assert server(text)._port == POP3


def test_a_clients_port_may_be_a_service() -> None:
    """The same for what connects."""
    endpoint = client("guard:tcp:mail.example:pop3:idle=30s:timeout=7")
    assert isinstance(endpoint, GuardedClientEndpoint)
    assert endpoint.policy == IDLE
    assert (endpoint._host, endpoint._port, endpoint._timeout) == ("mail.example", POP3, 7)


def test_the_keywords_of_twisted_reach_its_own_parser() -> None:
    """Nothing of what Twisted's endpoints can do is lost."""
    endpoint = server("guard:tcp:8080:backlog=7:interface=127.0.0.1:idle=30s")
    assert (endpoint._backlog, endpoint._interface) == (7, "127.0.0.1")


@pytest.mark.parametrize("prefix", ["guard:", "guard:haproxy:", "guard:haproxy:haproxy:"])
def test_a_path_keeps_its_colons_equals_signs_and_backslashes(prefix: str) -> None:
    """Escapes survive, also through `haproxy:`, whose own parser would lose an equals sign."""
    endpoint = server(prefix + r"unix:/run/a\=b\:c\\d:mode=600")
    while hasattr(endpoint, "_wrappedEndpoint"):
        endpoint = endpoint._wrappedEndpoint
    assert endpoint._address == r"/run/a=b:c\d"
    assert endpoint._mode == 0o600


@old_pyopenssl
def test_what_is_inside_may_be_of_any_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets from systemd, standard input, TLS from a directory and from files."""
    ca = trustme.CA()
    certificate = tmp_path / "server.pem"
    ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    assert server(f"guard:ssl:0:privateKey={certificate}")._sslContextFactory is not None
    assert hasattr(server(f"guard:tls:{tmp_path}:0"), "listen")
    assert isinstance(server("guard:stdio:").endpoint, StandardIOEndpoint)
    assert isinstance(server("guard:unix:/run/socket").endpoint, UNIXServerEndpoint)
    monkeypatch.setattr("twisted.internet.endpoints._SystemdParser._sddaemon._descriptors", [7])
    assert isinstance(server("guard:systemd:INET:index=0").endpoint, AdoptedStreamServerEndpoint)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("guard:tcp:80:idel=3s", "endpoint guard:tcp:80: unknown option 'idel'; did you mean 'idle'?"),
        ("guard:tcp:80:interfase=lo", "endpoint guard:tcp:80: unknown option 'interfase'; did you mean 'interface'?"),
        ("guard:haproxy:tcp:80:idel=3s", "endpoint guard:haproxy:tcp:80: unknown option 'idel'; did you mean 'idle'?"),
        ("guard:tcp:80:quux=3", "endpoint guard:tcp:80: unknown option 'quux'"),
        ("guard:tpc:80", "endpoint guard:tpc:80: unknown endpoint type 'tpc'; did you mean 'tcp'?"),
        (
            "guard:tcp:80:idle=3x",
            "endpoint guard:tcp:80: option idle: '3x' is not a duration such as 30s, 5m, 1h30m or 250ms",
        ),
        ("guard:tcp:80:idle", "endpoint guard:tcp:80:idle: option idle needs a value, as in idle=..."),
        (
            "guard:tcp:no-such-service",
            "endpoint tcp:no-such-service: 'no-such-service' is not a port from 0 to 65535 or a service that this",
        ),
        ("guard:tcp", "endpoint guard:tcp: something is missing or too much; tcp takes port, interface, backlog"),
        ("guard:systemd:INET:index=9", "endpoint guard:systemd:INET: IndexError: list index out of range"),
        (
            "guard:haproxy:tcp:80:proxy-from=10.0.0.0/8",
            "endpoint guard:haproxy:tcp:80: option proxy-from reads the PROXY header; leave out haproxy:",
        ),
        (
            "guard:tcp:80:proxy-from=10.0.0.1/8",
            "endpoint guard:tcp:80: option proxy-from: '10.0.0.1/8' has bits behind its first 8; write 10.0.0.0/8",
        ),
        ("guard:", "guard: names no endpoint to guard; write it as in guard:tcp:8080:idle=30s"),
        ("guard:idle=3", "guard: names no endpoint to guard; write it as in guard:tcp:8080:idle=30s"),
    ],
)
def test_a_mistake_is_one_line_that_helps(text: str, said: str) -> None:
    """Typos, values, ports and what is missing, in the words of who wrote them."""
    assert complaint(text).startswith(said)


@pytest.mark.parametrize(
    "text",
    [
        "guard:guard:tcp:80",
        "guard:idle=3s:guard:tcp:80",
        "guard:haproxy:guard:tcp:80",
    ],
)
def test_guard_inside_guard_is_refused(text: str) -> None:
    """Two sets of options, of which Twisted would mix the keywords, are a mistake."""
    assert complaint(text) == "guard: stands inside what is guarded already; give its options there instead"


def test_guard_inside_guard_is_refused_wherever_it_hides() -> None:
    """A string within a string, which another parser unfolds, is no way around."""
    said = complaint(r"guard:tls:host:443:endpoint=guard\:tcp\:host\:443", client)
    assert said == "guard: stands inside what is guarded already; give its options there instead"


def test_whoever_guards_by_itself_takes_no_guard_string() -> None:
    """Our own services have guards: `guard:` in their --listen would be the second set."""
    assert "stands inside" in complaint("guard:tcp:80", lambda text: server_endpoint(MemoryReactorClock(), text))


def test_any_other_string_makes_a_plain_endpoint_with_service_names() -> None:
    """For our own services: names for ports, and the same clear lines."""
    reactor: Any = MemoryReactorClock()
    plain: Any = server_endpoint(reactor, "tcp:pop3:interface=127.0.0.1")
    assert (plain._port, plain._interface) == (POP3, "127.0.0.1")
    connecting: Any = client_endpoint(reactor, "tcp:mail:pop3")
    assert (connecting._host, connecting._port) == ("mail", POP3)
    assert complaint("tpc:80", lambda text: server_endpoint(reactor, text)) == (
        "endpoint tpc:80: unknown endpoint type 'tpc'; did you mean 'tcp'?"
    )
    assert complaint("tcp:80:idle=3", lambda text: server_endpoint(reactor, text)) == (
        "endpoint tcp:80: unknown option 'idle'"
    )


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third party's endpoint type, `stranger:`, with one keyword."""

    class Stranger:
        """A parser that Twisted did not ship."""

        prefix = "stranger"

        def parseStreamServer(self, reactor: object, *args: str, **kwargs: str) -> Any:
            """Take a keyword, and nothing else."""
            return self.take(*args, **kwargs)

        def take(self, where: str, knock: str = "") -> Any:
            """Make something of them."""
            if not where:
                message = "where\nis it?"
                raise ValueError(message)
            return (where, knock)

    def plugins(interface: Any, *rest: Any) -> list[Any]:
        return [*getPlugins(interface, *rest), Stranger()]

    monkeypatch.setattr("twisted.internet.endpoints.getPlugins", plugins)
    monkeypatch.setattr(endpoints, "getPlugins", plugins)


@pytest.mark.usefixtures("stranger")
def test_a_third_partys_endpoint_is_guarded_like_any_other() -> None:
    """Its words and keywords reach its parser as they were written."""
    endpoint = server(r"guard:stranger:a\:b\=c:knock=k\:l=m:idle=30s")
    assert endpoint.policy == IDLE
    assert endpoint.endpoint == ("a:b=c", "k:l=m")


@pytest.mark.usefixtures("stranger")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("guard:stranger:x:idel=3", "endpoint guard:stranger:x: unknown option 'idel'; did you mean 'idle'?"),
        ("guard:stranger::knock=1", "endpoint guard:stranger:: ValueError: where is it?"),
        ("guard:stranger:x:quux=1", "endpoint guard:stranger:x: TypeError: "),
    ],
)
def test_the_mistakes_that_a_third_party_finds_are_told_in_one_line(text: str, said: str) -> None:
    """Whatever a foreign parser raises; a near miss of one of our options is told as such."""
    assert complaint(text).startswith(said)


class Echo(Protocol):
    """Sends back what comes."""

    def dataReceived(self, data: bytes) -> None:
        """Send it back."""
        assert self.transport is not None
        self.transport.write(data)


class Asks(Protocol):
    """Asks once, and keeps the answer."""

    def __init__(self) -> None:
        self.answer: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        """Ask."""
        assert self.transport is not None
        self.transport.write(b"hello")

    def dataReceived(self, data: bytes) -> None:
        """Keep the answer."""
        self.answer.callback(data)

    def connectionLost(self, reason: Any = None) -> None:
        """There will be no answer."""
        if not self.answer.called:
            self.answer.errback(reason)


async def _talk(listening: str, connecting: str, logged: Logged) -> bytes:
    from twisted.internet import reactor

    port: Any = await serverFromString(reactor, listening).listen(Factory.forProtocol(Echo))
    number = logged.named("listening")[-1].get("server.port")
    protocol: Any = await clientFromString(reactor, connecting.format(port=number)).connect(Factory.forProtocol(Asks))
    answer: bytes = await protocol.answer.addTimeout(10, reactor)
    assert isinstance(protocol, Asks)
    assert protocol.transport is not None
    protocol.transport.loseConnection()
    await maybeDeferred(port.stopListening)
    return answer


async def test_bytes_pass_over_tcp_under_guards_on_both_sides(logged: Logged) -> None:
    """A server and a client made from strings talk, at a port that the system chose."""
    assert await _talk("guard:tcp:0:interface=127.0.0.1", "guard:tcp:127.0.0.1:{port}:idle=9s", logged) == b"hello"


@old_pyopenssl
async def test_bytes_pass_over_tls_under_guards_on_both_sides(logged: Logged, tmp_path: Path) -> None:
    """The same inside TLS, verified by the client."""
    ca = trustme.CA()
    certificate = tmp_path / "server.pem"
    ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    answer = await _talk(
        f"guard:ssl:0:interface=127.0.0.1:privateKey={certificate}",
        f"guard:tls:localhost:{{port}}:trustRoots={tmp_path}",
        logged,
    )
    assert answer == b"hello"


async def test_bytes_pass_over_unix_sockets_under_guards_on_both_sides(logged: Logged, tmp_path: Path) -> None:
    """The same without addresses, at a path with awkward characters."""
    path = rf"{tmp_path}/a\=b\:c"
    assert await _talk(f"guard:unix:{path}", f"guard:unix:{path}", logged) == b"hello"


# what nobody caught


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run a program of a few lines."""
    script = f"""
import sys
from twisted.internet.endpoints import serverFromString
sys.argv[0] = "/usr/bin/app"
from twisted.internet.testing import MemoryReactor
reactor = MemoryReactor()
{code}
"""
    return subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=60)


def test_an_error_that_nobody_catches_ends_the_program_with_its_line() -> None:
    """Plugins of others parse strings where twistd catches nothing: no traceback, and status 1."""
    ended = run('serverFromString(reactor, "guard:tcp:0:idel=3")')
    assert ended.stderr == "app: endpoint guard:tcp:0: unknown option 'idel'; did you mean 'idle'?\n"
    assert ended.returncode == 1


def test_every_other_error_ends_the_program_as_before() -> None:
    """The hook that was there gets everything else, also another error of ours."""
    ended = run(
        """
sys.excepthook = lambda kind, error, trace: print("before:", error)
for text in "guard:tcp:0:idel=3", "guard:tcp:0:idel=4":
    try:
        serverFromString(reactor, text)
    except ValueError as error:
        caught = error
raise ValueError("mine")
"""
    )
    assert ended.stdout == "before: mine\n"
    assert ended.stderr == ""
    assert ended.returncode == 1


def test_importing_the_parsers_installs_no_reactor() -> None:
    """Every twistd run imports them, and only twistd may decide which reactor is installed."""
    code = "import sys, netguard.endpoints; print('twisted.internet.reactor' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60, env=environment
    )
    assert ended.stdout.strip() == "False"

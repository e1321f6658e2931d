r"""`socks:` strings make endpoints through proxies, and whatever is wrong with one is told in one line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from twisted.internet.endpoints import (
    HostnameEndpoint,
    SSL4ClientEndpoint,
    TCP4ClientEndpoint,
    UNIXClientEndpoint,
    clientFromString,
    connectProtocol,
)
from twisted.internet.interfaces import IStreamClientEndpointStringParserWithReactor
from twisted.internet.testing import MemoryReactorClock
from twisted.plugin import IPlugin, getPlugins
from zope.interface.verify import verifyObject

from netguard.clients.socks import SOCKSEndpoint
from netguard.endpoint_strings import quote
from netguard.endpoints import client_endpoint
from netguard.errors import OptionError, TooManyFromPeer
from netguard.guarded_endpoints import GuardedClientEndpoint
from netguard.proxy_url import Credentials
from netguard.socks_endpoints import SocksClientParser
from tests.clients.test_socks import GREETING, Hears, echoes, greets
from tests.proxyserver import SECRET, USER, Proxy, peering, proxying

if TYPE_CHECKING:
    from tests.conftest import Logged


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Errors set `sys.excepthook`; give it back. And no proxy of the machine."""
    for name in ("ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    before = sys.excepthook
    yield
    sys.excepthook = before


def client(text: str) -> Any:
    """A client endpoint, as Twisted makes it from a string."""
    return clientFromString(MemoryReactorClock(), text)


def complaint(text: str, make: Any = client) -> str:
    """What is said about a wrong string."""
    with pytest.raises(OptionError) as caught:
        make(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def secret(tmp_path: Path) -> str:
    """A file with the secret."""
    path = tmp_path / "secret"
    path.write_bytes(SECRET + b"\n")
    path.chmod(0o600)
    return str(path)


def test_the_parser_is_a_plugin_of_twisted() -> None:
    """It is found by its prefix, and is what Twisted asks for."""
    parser, interface = SocksClientParser(), IStreamClientEndpointStringParserWithReactor
    assert verifyObject(IPlugin, parser)
    assert verifyObject(interface, parser)
    assert "socks" in [getattr(each, "prefix", None) for each in getPlugins(interface)]


@pytest.mark.parametrize(
    "text",
    [
        r"socks:mail.example:110:proxy=tcp\:127.0.0.1\:1080",
        r"socks:proxy=tcp\:127.0.0.1\:1080:mail.example:pop3",
        r"SOCKS:host=mail.example:port=pop3:proxy=tcp\:127.0.0.1\:socks",
        r"socks:host=mail.example:110:proxy=tcp\:127.0.0.1\:1080:version=5:within=30s",
        r"socks:mail.example:port=110:proxy=tcp\:host\=127.0.0.1\:port\=1080",
    ],
)
def test_whom_to_connect_to_and_by_which_way(text: str) -> None:
    """Words or keywords, wherever they stand; ports by name."""
    endpoint = client(text)
    assert isinstance(endpoint, SOCKSEndpoint)
    assert (endpoint.where, endpoint.version, endpoint.within) == (("mail.example", 110), "5", 30)
    way: Any = endpoint.proxy
    assert (way._host, way._port) == ("127.0.0.1", 1080)
    assert endpoint._credentials is None


def test_every_setting_has_a_keyword(secret: str) -> None:
    """And the secret is read now, while it may be read."""
    endpoint = client(
        rf"socks:bücher.example:443:proxy=unix\:/run/proxy:version=http:user=joe:secret-file={secret}:within=5s"
    )
    assert (endpoint.where, endpoint.version, endpoint.within) == (("xn--bcher-kva.example", 443), "http", 5)
    assert isinstance(endpoint.proxy, UNIXClientEndpoint)
    assert endpoint._credentials == Credentials("joe", SECRET.decode())
    assert SECRET.decode() not in repr(endpoint)


def test_the_way_may_be_of_any_kind() -> None:
    """Even through another proxy, or under guards."""
    inner = r"socks:second.example:1080:proxy=tcp\:first.example\:1080:version=4a"
    endpoint = client(f"socks:mail.example:110:proxy={quote(inner)}")
    assert isinstance(endpoint.proxy, SOCKSEndpoint)
    assert (endpoint.proxy.version, endpoint.proxy.where) == ("4a", ("second.example", 1080))
    assert isinstance(client(r"socks:a:1:proxy=guard\:tcp\:b\:2\:idle\=30s").proxy, GuardedClientEndpoint)
    assert isinstance(client(r"socks:a:1:proxy=ssl\:b\:2").proxy, SSL4ClientEndpoint)


def test_a_string_may_be_guarded_and_may_be_inside_tls() -> None:
    """`guard:` around it, and `tls:`, whose `endpoint=` takes any."""
    endpoint = client(r"guard:socks:mail.example:pop3:proxy=tcp\:127.0.0.1\:1080:idle=30s:version=4a")
    assert isinstance(endpoint, GuardedClientEndpoint)
    assert (endpoint.endpoint.version, endpoint.endpoint.where) == ("4a", ("mail.example", 110))
    assert endpoint.policy.options()["idle"] == "30s"
    inside = r"socks:mail.example:995:proxy=tcp\:127.0.0.1\:1080"
    assert isinstance(client(f"tls:mail.example:995:endpoint={quote(inside)}")._wrappedEndpoint, SOCKSEndpoint)
    plain: Any = client_endpoint(MemoryReactorClock(), inside)
    assert isinstance(plain, SOCKSEndpoint)


def test_a_url_names_the_proxy(secret: str) -> None:
    """Its secret comes from a file."""
    endpoint = client(r"socks:mail.example:110:proxy=socks4a\://127.0.0.1\:9050")
    assert (endpoint.version, endpoint.proxy._port) == ("4a", 9050)
    for url, more in ((r"http\://joe@proxy.example", ""), (r"http\://proxy.example", ":user=joe")):
        endpoint = client(f"socks:mail.example:110:proxy={url}{more}:secret-file={secret}")
        assert isinstance(endpoint.proxy, HostnameEndpoint)
        assert endpoint._credentials == Credentials("joe", SECRET.decode())


def test_the_environment_names_the_proxy(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    """With its secret, or with one from a file."""
    monkeypatch.setenv("ALL_PROXY", "socks5h://joe:hush@127.0.0.1:1081")
    endpoint = client("socks:mail.example:110:proxy=env")
    assert (endpoint.version, endpoint._credentials) == ("5", Credentials("joe", "hush"))
    assert isinstance(endpoint.proxy, TCP4ClientEndpoint)
    assert "hush" not in repr(endpoint)
    monkeypatch.setenv("ALL_PROXY", "socks5h://joe@127.0.0.1:1081")
    assert client("socks:mail.example:110:proxy=env")._credentials == Credentials("joe")
    with_file = client(f"socks:mail.example:110:proxy=env:secret-file={secret}")
    assert with_file._credentials == Credentials("joe", SECRET.decode())


WAY = r":proxy=tcp\:127.0.0.1\:1080"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"socks:a:1{WAY}:versoin=5", "endpoint socks:a:1: unknown option 'versoin'; did you mean 'version'?"),
        (f"socks:a:1{WAY}:password=hush", "endpoint socks:a:1: unknown option 'password'"),
        (f"guard:socks:a:1{WAY}:idel=3s", "endpoint guard:socks:a:1: unknown option 'idel'; did you mean 'idle'?"),
        (f"guard:socks:a:1{WAY}:usr=j", "endpoint guard:socks:a:1: unknown option 'usr'; did you mean 'user'?"),
        (f"guard:sokcs:a:1{WAY}", "endpoint guard:sokcs:a:1: unknown endpoint type 'sokcs'; did you mean 'socks'?"),
        ("socks:a:1", "endpoint socks:a:1: it names no proxy; write it as in socks:mail.example:pop3:proxy=tcp"),
        ("socks:a:1:proxy=", "endpoint socks:a:1: it names no proxy"),
        (f"socks:a{WAY}", "endpoint socks:a: it needs a host and a port, and no other word"),
        (f"socks::1{WAY}", "endpoint socks::1: it needs a host and a port"),
        (f"socks:a:1:2{WAY}", "endpoint socks:a:1:2: it needs a host and a port"),
        (f"socks:a:host=a:1{WAY}", "endpoint socks:a:1: it needs a host and a port"),
        (f"socks:a:no-such{WAY}", "endpoint socks:a:no-such: 'no-such' is not a port from 0 to 65535 or a service"),
        (f"socks:a:0{WAY}", "endpoint socks:a:0: 0 is not a TCP port from 1 to 65535"),
        (f"socks:a b:1{WAY}", "endpoint socks:a b:1: 'a b' is no address, and no name of"),
        (f"socks:a:1{WAY}:version=6", "endpoint socks:a:1: '6' is not a kind of proxy: 4, 4a, 5, http"),
        (f"socks:a:1{WAY}:version=4", "endpoint socks:a:1: SOCKS 4 knows no names"),
        (f"socks:a:1{WAY}:within=3x", "endpoint socks:a:1: '3x' is not a duration"),
        (
            r"socks:a:1:proxy=tpc\:b\:2",
            "endpoint socks:a:1: endpoint tpc:b:2: unknown endpoint type 'tpc'; did you mean",
        ),
        (r"socks:a:1:proxy=tcp\:b", "endpoint socks:a:1: endpoint tcp:b: something is missing or too much; tcp takes"),
        (r"socks:a:1:proxy=tcp\:b\:no-such", "endpoint socks:a:1: endpoint tcp:b:no-such: 'no-such' is not a port"),
        (
            "socks:a:1:proxy=tcp\\:b\\:2\\\\",
            "endpoint socks:a:1: endpoint tcp:b:2\\: nothing follows the last backslash",
        ),
        (r"socks:a:1:proxy=ftp\://b", "endpoint socks:a:1: the proxy's URL has to begin with one of"),
        (r"socks:a:1:proxy=http\://b:version=5", "endpoint socks:a:1: option version: the proxy's URL says it already"),
        (r"socks:a:1:proxy=http\://j@b:user=k", "endpoint socks:a:1: option user: the proxy's URL says it already"),
        (r"socks:a:1:proxy=http\://j\:hush@b", "endpoint socks:a:1: others see the string: put the secret into a file"),
        ("socks:a:1:proxy=env", "endpoint socks:a:1: the environment has no proxy"),
        (f"socks:a:1{WAY}:secret-file=x", "endpoint socks:a:1: option secret-file: the secret is whose? say user=NAME"),
        (f"socks:a:1{WAY}:user=j:secret-file=/no/file", "endpoint socks:a:1: secret file /no/file: No such file"),
        (f"guard:socks:a:1:proxy={quote('guard:tcp:b:2')}", "endpoint socks:a:1: guard: stands inside what is guarded"),
    ],
)
def test_a_mistake_is_one_line_that_helps(text: str, said: str) -> None:
    """In the words of who wrote it, and without the value of a keyword that may be a secret."""
    told = complaint(text)
    assert told.startswith(said)
    assert "hush" not in told


def test_a_secret_twice_is_a_mistake(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    """Which of the two?"""
    monkeypatch.setenv("ALL_PROXY", "socks5h://joe:hush@127.0.0.1:1081")
    told = complaint(f"socks:a:1:proxy=env:secret-file={secret}")
    assert told == "endpoint socks:a:1: option secret-file: the proxy's URL says it already"


def test_an_error_that_nobody_catches_ends_the_program_with_its_line() -> None:
    """As `guard:` does: it is not the program that is at fault."""
    script = "from twisted.internet.endpoints import clientFromString; clientFromString(None, 'socks:a:1:porxy=x')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "-c: endpoint socks:a:1: unknown option 'porxy'; did you mean 'proxy'?\n"


@pytest.mark.parametrize("host", ["target.example", "127.0.0.1"])
async def test_guards_count_and_log_whom_the_proxy_was_asked_for(host: str, logged: Logged) -> None:
    """By name where only the proxy has resolved it; each name is a peer of its own."""
    from twisted.internet import reactor

    async with peering(greets) as (port, _), proxying(Proxy()) as proxy:
        text = rf"guard:socks:{host}:{port}:proxy=tcp\:127.0.0.1\:{proxy.port}:max-per-peer=1"
        endpoint = clientFromString(reactor, text)
        first = Hears(len(GREETING))
        await connectProtocol(endpoint, first)
        assert await first.heard.addTimeout(60, reactor) == GREETING
        with pytest.raises(TooManyFromPeer):
            await connectProtocol(endpoint, Hears(1))
        (refused,) = logged.named("refused")
        assert (refused["client.address"], refused["client.port"]) == (host, port)
        cast("Any", first.transport).abortConnection()


@pytest.mark.parametrize("guarded", ["", "guard:"])
async def test_it_connects(secret: str, guarded: str) -> None:
    """Over real sockets, under guards and without."""
    from twisted.internet import reactor

    async with peering(greets, echoes) as (port, _), proxying(Proxy(login=True)) as proxy:
        way = rf"proxy=tcp\:127.0.0.1\:{proxy.port}:user={USER.decode()}:secret-file={secret}"
        protocol = Hears(len(GREETING) + 5)
        await connectProtocol(clientFromString(reactor, f"{guarded}socks:target.example:{port}:{way}"), protocol)
        transport: Any = protocol.transport
        transport.write(b"12345")
        assert await protocol.heard.addTimeout(60, reactor) == GREETING + b"12345"
        transport.abortConnection()
        assert proxy.targets == [("target.example", port)]

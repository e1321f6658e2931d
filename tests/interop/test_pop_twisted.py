"""Twisted's own POP3 client logs in by APOP, and by a password inside TLS, and gets the mail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import reactor, ssl
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, wrapClientTLS
from twisted.mail.pop3 import AdvancedPOP3Client

from tests.popserver import APOP_SECRET, PASSWORD_SECRET, USER, on_the_wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.popserver import Server, Site

_Client: Any = AdvancedPOP3Client  # it is not annotated


class Client(_Client):  # type: ignore[misc]
    """A client that tells when it was greeted, and when it is gone."""

    timeout = 60

    def __init__(self) -> None:
        self.greeted: Deferred[None] = Deferred()
        self.gone: Deferred[None] = Deferred()

    def serverGreeting(self, greeting: bytes) -> None:
        """The server is there."""
        super().serverGreeting(greeting)
        self.greeted.callback(None)

    def connectionLost(self, reason: Any) -> None:
        """It is gone."""
        super().connectionLost(reason)
        self.gone.callback(None)


async def connect(endpoint: Any) -> Any:
    """A client that was greeted."""
    client = await connectProtocol(endpoint, Client())
    await client.greeted
    return client


async def fetch_all(client: Any, messages: Mapping[str, bytes]) -> None:
    """Everything that is there is as it is stored; then the client leaves."""
    want = [on_the_wire(each) for each in messages.values()]
    assert await client.listSize() == list(map(len, want))
    uids = await client.listUID()
    assert len(set(uids)) == len(want)
    # Messages with long lines and binary junk are more than a client of lines can take.
    for number, name in enumerate(messages):
        if name in ("welcome", "dots", "utf8", "no-newline"):
            got = await client.retrieve(number)
            assert b"".join(line + b"\r\n" for line in got) == want[number]
    await client.quit()
    await client.gone


async def test_apop(server: Server, messages: Mapping[str, bytes]) -> None:
    """It takes the timestamp of the greeting, and never sends the secret."""
    client = await connect(HostnameEndpoint(reactor, "127.0.0.1", server.ports(2)[0]))
    assert client.serverChallenge is not None
    await client.login(USER.encode(), APOP_SECRET.encode())
    await fetch_all(client, messages)
    assert server.wait_for("session")[0]["mechanism"] == "apop"


async def test_implicit_tls(server: Server, site: Site, messages: Mapping[str, bytes]) -> None:
    """With the certificate verified; without a timestamp it would know of, it sends the password."""
    trust = ssl.Certificate.loadPEM(site.pem.read_bytes()[site.pem.read_bytes().index(b"-----BEGIN CERT") :])
    options = ssl.optionsForClientTLS("localhost", trust)
    below = HostnameEndpoint(reactor, "127.0.0.1", server.ports(2)[1])
    client = await connect(wrapClientTLS(options, below))
    client.serverChallenge = None
    await client.login(USER.encode(), PASSWORD_SECRET.encode())
    await fetch_all(client, messages)
    assert server.wait_for("session")[0]["mechanism"] == "password"

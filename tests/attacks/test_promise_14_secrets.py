"""Promise 14 and issue "secrets": whatever is done with a secret, right or wrong, no log has it in any form."""

from __future__ import annotations

import base64
import re
import socket
import subprocess
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from netguard.accounts.credentials import begin_chain
from netguard.clients.socks import SOCKSEndpoint
from netguard.events import as_json, as_text
from netguard.proxy_url import Credentials
from netguard.wire import otp
from netguard.wire.scram_client import ScramClient
from netguard.wire.tunnel import ProxyError
from tests.popsasl import ENTERED, REFUSED, give, line, nonce, plain, scram
from tests.popserver import (
    APOP_SECRET,
    PASSWORD_SECRET,
    PATIENCE,
    TWISTD,
    USER,
    Peer,
    Site,
    environment,
    trusting,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Logged

SCRAM_SECRET = "scram-T7vXq2LmZ9"
OTP_PHRASE = "otp Kf4 wR8 phrase"
GUESS = "guess-Bn6yHs3Pq1"
SOCKS_SECRET = "socks-Wd5kJt8Mx2"
SECRETS = (APOP_SECRET, PASSWORD_SECRET, SCRAM_SECRET, OTP_PHRASE, GUESS)


def forms(secret: str) -> set[str]:
    """How a secret could stand in a text: as it is, encoded, in parts."""
    octets = secret.encode()
    found = {secret, octets.hex(), secret[::-1], urllib.parse.quote(secret), secret.replace(" ", "\\x20")}
    found |= {secret[: len(secret) * 2 // 3], secret[len(secret) // 3 :]}
    for before in range(3):
        # Base64 of it inside of something else: the first and the last characters hold other bits, too.
        text = base64.b64encode(b"x" * before + octets).decode().rstrip("=")
        found.add(text[(0, 2, 3)[before] : -2])
    return {each.lower() for each in found}


def leaks(text: str, *secrets: str) -> list[str]:
    """What of the secrets stands in a text."""
    lower = text.lower()
    return [form for secret in secrets for form in forms(secret) if form in lower]


@pytest.mark.parametrize("form", ["{}", "x{}", "<{}>", "{} y"])
def test_a_leak_would_be_found(form: str) -> None:
    """In clear, and inside of base64, wherever it begins; in hex, too."""
    said = form.format(GUESS)
    for text in (said, base64.b64encode(said.encode()).decode(), said.encode().hex().upper(), said[::-1]):
        assert leaks(f"closed reason={text}", *SECRETS)
    assert not leaks("closed reason=guess", *SECRETS)


@frozen
class Running:
    """A service, and all that it writes.

    Args:
        log: its log.
        plain: its port.
        tls: its port for TLS.
        site: what it serves.
    """

    log: Path
    plain: int
    tls: int
    site: Site

    def outside(self) -> Peer:
        """A client in clear."""
        return Peer(self.plain)

    def inside(self) -> Peer:
        """A client inside TLS."""
        return Peer(self.tls, trusting(self.site.pem))


@contextmanager
def service(site: Site, *words: str) -> Iterator[Running]:
    """A netguard-pop that logs all it can; at the end it is stopped, and everything that it wrote is searched."""
    log, output = site.folder / "log", site.folder / "output"
    command = [TWISTD, "-n", "--pidfile=", "--logfile", str(log), "netguard-pop", "--verbose", "--ident", "log", *words]
    with output.open("wb") as out:
        process = subprocess.Popen(
            [*command, *site.both_ports, "--max-per-peer", "500", "--penalty", "off", "--heartbeat", "1s"],
            cwd=site.folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
        try:
            ports: list[str] = []
            end = monotonic() + PATIENCE
            while len(ports) < 2 and monotonic() < end:
                sleep(0.02)
                text = log.read_text() if log.exists() else ""
                ports = list(dict.fromkeys(re.findall(r"server\.port\W+(\d+)", text)))  # JSON says each twice
            plain, tls = ports
            yield Running(log, int(plain), int(tls), site)
        finally:
            process.terminate()
            process.wait(PATIENCE)
    written = log.read_text() + output.read_text()
    assert len(re.findall(r"session client=127\.0\.0\.1 ", written)) > 200
    assert leaks(written, *SECRETS) == []


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Users with every kind of secret."""
    made = Site.make(tmp_path, {"hello": b"Subject: hello\n\nhello\n"})
    made.add_user("bob")
    give(made.accounts, "bob", SCRAM_SECRET, otp=begin_chain(OTP_PHRASE, 200).stored)
    return made


def _by_otp(peer: Peer) -> bytes:
    asked = base64.b64decode(peer.ask(b"AUTH OTP " + line(b"\0bob"))[2:]).decode().split()
    password = otp.generate("sha1", OTP_PHRASE.encode(), asked[2], int(asked[1]))
    return peer.ask(line(b"hex:" + password.hex().encode()))


def _log_in_rightly(running: Running) -> None:
    """By every way that there is."""
    with Peer(running.plain) as peer:
        assert peer.apop().startswith(b"+OK")
        peer.ask(b"QUIT")
    with running.inside() as peer:
        peer.send(f"USER {USER}\r\nPASS {PASSWORD_SECRET}\r\nQUIT\r\n".encode())
        assert b"+OK logged in" in peer.rest()
    with running.inside() as peer:
        assert peer.ask(plain(USER, PASSWORD_SECRET)) == ENTERED
    with running.inside() as peer:
        peer.send(b"AUTH LOGIN\r\n" + line(USER.encode()) + b"\r\n" + line(PASSWORD_SECRET.encode()) + b"\r\nQUIT\r\n")
        peer.rest()
    with Peer(running.plain) as peer:
        assert scram(peer, ScramClient("bob", SCRAM_SECRET.encode(), nonce())) == ENTERED
    with Peer(running.plain) as peer:
        assert _by_otp(peer) == ENTERED


def _connect_and_say(made: Callable[[], Peer], octets: bytes) -> None:
    _say(made(), octets)


def _say(peer: Peer, octets: bytes) -> None:
    peer.socket.settimeout(2)
    with peer, suppress(OSError):
        peer.send(octets + b"\r\n*\r\nQUIT\r\n" * 2)  # some wait for a response, which no QUIT can be
        peer.rest()


def _log_in_wrongly(running: Running, secret: str) -> None:
    """A secret where it does not belong, in clear and inside TLS; and connections that end in the middle of it."""
    octets = secret.encode()
    coded = line(octets)
    said = [
        octets,
        b"USER " + octets,
        b"PASS " + octets,
        b"USER " + USER.encode() + b"\r\nPASS " + octets,
        b"USER " + octets + b"\r\nPASS " + octets,
        b"APOP " + octets + b" " + b"0" * 32,
        b"APOP " + USER.encode() + b" " + octets,
        b"AUTH " + octets,
        b"AUTH PLAIN " + coded,
        b"AUTH PLAIN " + octets,
        b"AUTH PLAIN " + line(b"\0" + octets + b"\0" + octets),
        b"AUTH PLAIN " + line(octets + b"\0" + USER.encode() + b"\0" + octets),
        b"AUTH PLAIN\r\n" + coded + b"!",
        b"AUTH LOGIN\r\n" + coded + b"\r\n" + coded,
        b"AUTH CRAM-MD5\r\n" + line(octets + b" " + b"0" * 32),
        b"AUTH SCRAM-SHA-256 " + line(b"n,,n=" + octets + b",r=abc"),
        b"AUTH OTP " + line(b"\0" + octets),
        b"AUTH OTP " + line(b"\0bob") + b"\r\n" + line(b"word:" + octets),
        b"AUTH EXTERNAL " + coded,
        b"PROXY TCP4 " + octets + b" 127.0.0.1 1 2",
        b"RETR " + octets + b"\r\nSTLS " + octets,
        octets + b"\x1b[31m\0" + octets,
        octets * 200,
    ]
    with ThreadPoolExecutor(16) as pool:  # a failed login is answered late
        done = [
            pool.submit(_connect_and_say, made, each) for made in (running.outside, running.inside) for each in said
        ]
        for each in said:
            with Peer(running.plain) as peer:
                peer.send(each)  # and away
        for one in done:
            one.result()
    with socket.create_connection(("127.0.0.1", running.tls), PATIENCE) as peer_without_tls:
        peer_without_tls.sendall(octets * 20)
    _say(Peer(running.plain), b"STLS\r\n" + octets * 20)


@pytest.mark.parametrize("words", [("--log-format", "json"), ()])
def test_no_log_of_the_service_has_a_secret(words: tuple[str, ...], site: Site) -> None:
    """Every secret by every way, right and wrong; in netguard's lines and in twistd's, with all that can be told."""
    with service(site, *words) as running:
        _log_in_rightly(running)
        for secret in SECRETS:
            _log_in_wrongly(running, secret)
        with running.inside() as peer:
            assert peer.ask(plain(USER, GUESS)) == REFUSED


class Mirror(Protocol):
    """A proxy that says back whatever it hears, behind an answer that it prepared.

    Args:
        answers: one for each thing that it hears.
    """

    def __init__(self, answers: tuple[bytes, ...]) -> None:
        self._answers = list(answers)

    def dataReceived(self, data: bytes) -> None:
        """Answer; then hang up."""
        transport: Any = self.transport
        if self._answers:
            transport.write(self._answers.pop(0))
        else:
            transport.write(data)
            transport.loseConnection()


@pytest.mark.parametrize(
    ("version", "answers"),
    [
        ("5", ()),
        ("5", (b"\x05\x02",)),
        ("5", (b"\x05\x02", b"\x01\x01")),
        ("5", (b"\x05\x02", b"\x01\x00")),
        ("5", (b"\x05\xff",)),
        ("http", ()),
        ("http", (b"HTTP/1.1 407 " + SOCKS_SECRET.encode() + b"\r\n\r\n",)),
        ("http", (b"HTTP/1.1 200 \x1b[31m" + SOCKS_SECRET.encode(),)),
    ],
)
async def test_no_log_and_no_failure_has_what_a_proxy_was_shown(
    version: str, answers: tuple[bytes, ...], logged: Logged
) -> None:
    """A proxy that refuses, lies, or says the secret back."""
    from twisted.internet import reactor

    where: Any = reactor
    factory: Any = Factory()
    factory.buildProtocol = lambda _: Mirror(answers)
    port: Any = await serverFromString(where, "tcp:0:interface=127.0.0.1").listen(factory)
    way = TCP4ClientEndpoint(where, "127.0.0.1", port.getHost().port)
    who = Credentials("joe", SOCKS_SECRET)
    endpoint = SOCKSEndpoint(way, "192.0.2.1", 110, version, who, 3.0, reactor=where)
    try:
        with pytest.raises(ProxyError) as caught:
            await connectProtocol(endpoint, Protocol())
    finally:
        await port.stopListening()
    failure = Failure(caught.value)
    texts = [str(caught.value), repr(caught.value), failure.getTraceback(), repr(endpoint), repr(who)]
    texts += [write(each) for each in logged.events for write in (as_text, as_json)]
    assert leaks("\n".join(texts), SOCKS_SECRET) == []

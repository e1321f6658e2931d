"""More mail programs: getmail, mutt and Twisted's own client fetch every message; nmap finds what it should find."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.protocol import connectionDone
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.mail.pop3 import AdvancedPOP3Client
from twisted.python.failure import Failure

from tests.popserver import (
    APOP_SECRET,
    PASSWORD_SECRET,
    PATIENCE,
    USER,
    Server,
    Site,
    environment,
    make_maildir,
    on_the_wire,
    stored,
)
from tests.programs import needs, private, run

NOBODY = 65534


def as_lf(content: bytes) -> bytes:
    """A message as programs store it that end lines with LF."""
    return on_the_wire(content).replace(b"\r\n", b"\n")


# getmail


@pytest.fixture
def home(site: Site) -> Iterator[Path]:
    """A directory of an ordinary user: getmail delivers for nobody else."""
    with TemporaryDirectory() as name:
        home = Path(name)
        shutil.copy(site.pem, home / "server.pem")
        make_maildir(home / "out")
        yield home


def getmail(how: str, keep: bool, server: Server, home: Path) -> list[bytes]:
    """Let getmail fetch once; returns what it delivered."""
    plain, tls = server.ports(2)
    login = {
        "apop": ("SimplePOP3Retriever", plain, APOP_SECRET, "use_apop = true"),
        "pop3s": ("SimplePOP3SSLRetriever", tls, PASSWORD_SECRET, f"ca_certs = {home / 'server.pem'}"),
    }[how]
    rc = """\
[retriever]
type = {}
port = {}
password = {}
{}
server = localhost
username = {user}
[destination]
type = Maildir
path = {out}/
[options]
delete = {delete}
read_all = false
delivered_to = false
received = false
verbose = 0
"""
    private(home / "getmailrc", rc.format(*login, user=USER, out=home / "out", delete=not keep))
    owner: dict[str, Any] = {}
    if os.geteuid() == 0:
        owner = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        for each in (home, *home.rglob("*")):
            os.chown(each, NOBODY, NOBODY)
    ended = subprocess.run(
        ["getmail", "--getmaildir", str(home), "--rcfile", "getmailrc"],
        cwd=home,
        env={"HOME": str(home), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        capture_output=True,
        timeout=4 * PATIENCE,
        check=False,
        **owner,
    )
    assert ended.returncode == 0, ended.stderr[-2000:].decode() + ended.stdout[-2000:].decode()
    return stored(home / "out")


def as_getmail_delivers(content: bytes) -> bytes:
    """A message as getmail stores it: one header more, LF for a bare CR, and a blank line behind the headers."""
    text = as_lf(content).replace(b"\r", b"\n")
    return b"Return-Path: <unknown>\n" + (text if b"\n\n" in text else text + b"\n")


@needs("getmail")
@pytest.mark.parametrize("how", ["apop", "pop3s"])
def test_getmail_fetches_everything(
    how: str, server: Server, site: Site, messages: Mapping[str, bytes], home: Path
) -> None:
    """Getmail has each message as it is stored, save for what it changes by itself; a second time, none is new."""
    want = sorted(as_getmail_delivers(each) for each in messages.values())
    assert sorted(getmail(how, True, server, home)) == want
    assert len(getmail(how, True, server, home)) == len(want)
    assert stored(site.maildir()) == list(messages.values())


@needs("getmail")
@pytest.mark.parametrize("how", ["apop", "pop3s"])
def test_getmail_takes_everything_away(how: str, server: Server, site: Site, home: Path) -> None:
    """With delete, getmail has every message, and the Maildir none."""
    count = len(stored(site.maildir()))
    assert len(getmail(how, False, server, home)) == count
    server.wait_for("session", deleted=count)
    assert stored(site.maildir()) == []


# mutt


def mutt(how: str, keep: bool, server: Server, site: Site, out: Path) -> list[bytes]:
    """Let mutt fetch once, on a terminal as it wants one; returns what it stored."""
    plain, tls = server.ports(2)
    clear = how == "apop"
    url = f"pops://{USER}@localhost:{tls}" if how == "pop3s" else f"pop://{USER}@localhost:{plain}"
    settings = {
        "pop_host": url,
        "pop_pass": APOP_SECRET if clear else PASSWORD_SECRET,
        "pop_authenticators": "apop" if clear else "user",
        "ssl_starttls": "no" if clear else "yes",
        "ssl_force_tls": "no" if clear else "yes",
        "certificate_file": site.pem,
        "pop_delete": "no" if keep else "yes",
        "mbox_type": "Maildir",
        "folder": site.folder,  # it would ask whether to make one
        "spoolfile": make_maildir(out),
        "move": "no",
        "quit": "yes",
        "wait_key": "no",
    }
    lines = [f'set {name}="{value}"' for name, value in settings.items()]
    rc = private(site.folder / "muttrc", "\n".join([*lines, 'push "<fetch-mail><exit>"']) + "\n")
    ours, terminal = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        command = ["mutt", "-n", "-F", rc]
        variables = environment() | {"HOME": str(site.folder), "TERM": "xterm"}
        running = subprocess.Popen(
            command, stdin=terminal, stdout=terminal, stderr=terminal, env=variables, start_new_session=True
        )
        os.close(terminal)
        seen = bytearray()
        watching = Thread(target=_watch, args=(screen, seen), daemon=True)
        watching.start()
        try:
            status = running.wait(2 * PATIENCE)
        finally:
            running.kill()
            running.wait()
        watching.join()
    assert status == 0, bytes(seen[-500:])
    return stored(out)


def _watch(screen: Any, seen: bytearray) -> None:
    try:
        while more := screen.read(65_536):
            seen += more
    except OSError:  # the other side of a terminal is gone
        pass


def as_mutt_stores(content: bytes) -> bytes:
    """A message as mutt stores it: it reads 1,022 octets at a time, and ends a line twice that has just so many."""
    return re.sub(rb"^([^\n]{1022})\n", rb"\1\n\n", as_lf(content), flags=re.MULTILINE)


@needs("mutt")
@pytest.mark.parametrize("how", ["apop", "stls", "pop3s"])
def test_mutt_fetches_everything(
    how: str, server: Server, site: Site, messages: Mapping[str, bytes], tmp_path: Path
) -> None:
    """Mutt stores each message as it is stored here; of lines with a NUL it keeps what stands before it."""
    got = mutt(how, True, server, site, tmp_path / "out")
    want = [as_mutt_stores(each) for each in messages.values() if b"\0" not in each]
    assert len(got) == len(messages)
    assert [each for each in want if each not in got] == []
    assert stored(site.maildir()) == list(messages.values())


@needs("mutt")
@pytest.mark.parametrize("how", ["apop", "stls", "pop3s"])
def test_mutt_takes_everything_away(how: str, server: Server, site: Site, tmp_path: Path) -> None:
    """With pop_delete, mutt has every message, and the Maildir none."""
    count = len(stored(site.maildir()))
    assert len(mutt(how, False, server, site, tmp_path / "out")) == count
    server.wait_for("session", deleted=count)
    assert stored(site.maildir()) == []


# Twisted's own client


class Client(AdvancedPOP3Client):
    """Twisted's client, for long lines."""

    MAX_LENGTH = 1 << 20

    def __init__(self) -> None:
        self.greeted: Deferred[None] = Deferred()
        self.gone: Deferred[None] = Deferred()

    def serverGreeting(self, greeting: bytes) -> None:
        """The server has spoken."""
        super().serverGreeting(greeting)
        self.greeted.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is over."""
        super().connectionLost(reason)
        self.gone.callback(None)


def trust(site: Site) -> Any:
    """A client's TLS that trusts the server's certificate, and no name but its own."""
    return optionsForClientTLS("localhost", trustRoot=Certificate.loadPEM(site.pem.read_bytes()))


async def by_apop(server: Server, site: Site) -> Client:
    """APOP, which this client takes wherever it is offered."""
    client = await _connected(server.ports(2)[0])
    assert await client.login(USER.encode(), APOP_SECRET.encode()) == b"logged in"
    return client


async def by_stls(server: Server, site: Site) -> Client:
    """USER and PASS after STLS."""
    client = await _connected(server.ports(2)[0])
    await client.startTLS(trust(site))
    return await _with_password(client)


async def by_pop3s(server: Server, site: Site) -> Client:
    """USER and PASS inside TLS from the first byte."""
    return await _with_password(await _connected(server.ports(2)[1], trust(site)))


async def _connected(port: int, tls: Any = None) -> Client:
    from twisted.internet import reactor

    endpoint: Any = HostnameEndpoint(reactor, "127.0.0.1", port)
    client: Client = await connectProtocol(endpoint if tls is None else wrapClientTLS(tls, endpoint), Client())
    await client.greeted
    return client


async def _with_password(client: Client) -> Client:
    await client.user(USER.encode())
    assert await client.password(PASSWORD_SECRET.encode()) == b"logged in"
    return client


Login = Callable[[Server, Site], Coroutine[Any, Any, Client]]


@pytest.mark.parametrize("login", [by_apop, by_stls, by_pop3s])
async def test_twisteds_client_fetches_everything(
    login: Login, server: Server, site: Site, messages: Mapping[str, bytes]
) -> None:
    """The client of twisted.mail has each message as it is stored, and STAT, LIST, UIDL and CAPA as they should be."""
    client = await login(server, site)
    want = [on_the_wire(each) for each in messages.values()]
    assert await client.stat() == (len(want), sum(map(len, want)))
    assert await client.listSize() == list(map(len, want))
    assert len(set(await client.listUID())) == len(want)
    assert b"UIDL" in await client.capabilities(useCache=False)
    for number, content in enumerate(want):
        lines = await client.retrieve(number)
        assert b"".join(line + b"\r\n" for line in lines) == content
    assert (await client.retrieve(0, lines=0))[-1] == b""
    await client.delete(1)
    await client.reset()
    await client.delete(2)
    await client.quit()
    await client.gone
    server.wait_for("session", deleted=1)
    assert stored(site.maildir()) == [each for at, each in enumerate(messages.values()) if at != 2]


# nmap


@needs("nmap")
def test_nmap_finds_what_it_should(server: Server, site: Site) -> None:
    """Its scripts know both ports for POP3, find the capabilities, and find no account and no weak cipher."""
    plain, tls = server.ports(2)
    # What it would find out by itself in half a minute: which service has which port.
    known = site.folder / "services"
    known.write_text(f"pop3\t{plain}/tcp\t0.5\npop3s\t{tls}/tcp\t0.5\n")
    scripts = "pop3-capabilities,pop3-ntlm-info,pop3-brute,ssl-cert,ssl-enum-ciphers"
    few = "unpwdb.timelimit=1s,unpwdb.userlimit=1,unpwdb.passlimit=1,brute.mode=user"
    which = ["-Pn", "-n", "--servicedb", str(known), "--script", scripts, "--script-args", few]
    out = run("nmap", *which, "127.0.0.1", home=site.folder).decode()
    parts = re.split(r"^\d+/tcp open", out, flags=re.MULTILINE)[1:]
    assert len(parts) == 2
    for part in parts:
        capabilities = re.search(r"pop3-capabilities: (.*)", part)
        assert capabilities is not None
        words = set(capabilities[1].split())
        assert {"APOP", "TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "UTF8(USER)", "LANG"} <= words
        assert ("STLS" in words) is not ("USER" in words)
        assert "No valid accounts found" in part
        assert "commonName=localhost" in part
        assert re.findall(r"TLSv\S+:", part) == ["TLSv1.2:", "TLSv1.3:"]
        assert "least strength: A\n" in part
        assert "pop3-ntlm-info" not in part

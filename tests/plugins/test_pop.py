"""`twistd netguard-pop`: its options, each mistake's one line, and its life as a process."""

from __future__ import annotations

import os
import pwd
import re
import select
import signal
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from attrs import frozen
from twisted.internet.defer import maybeDeferred
from twisted.internet.threads import deferToThread
from twisted.python import usage

from netguard.accounts.store import Store
from netguard.guards.idle_timeout import IdleTimeout
from netguard.plugins import pop
from netguard.plugins.listening import CannotServeError, ListeningService
from netguard.policy import Policy
from tests.pemfiles import issued
from tests.popserver import (
    PASSWORD_SECRET,
    PATIENCE,
    USER,
    Peer,
    Server,
    Site,
    assert_clean,
    serving,
    trusting,
    twistd,
)

if TYPE_CHECKING:
    from tests.conftest import Logged

HELLO = {"hello": b"Subject: hello\n\nhello\n"}
NOBODY = 65534
LOOPBACK = "--listen", "tcp:0:interface=127.0.0.1"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """What an operator has."""
    return Site.make(tmp_path, HELLO)


# What is wrong is said in one line


@frozen
class Mistake:
    """A command line that cannot work.

    Args:
        words: the options, besides those that the site needs; ``{folder}`` is its folder.
        line: what the one line must say.
        complete: whether the options of the site are put before.
        prepare: what is done to the site first.
    """

    words: str
    line: str
    complete: bool = True
    prepare: Callable[[Site], object] | None = None


def _truncated(site: Site) -> None:
    (site.folder / "bad.pem").touch(0o600)
    (site.folder / "bad.pem").write_bytes(site.pem.read_bytes()[:-200])


def _without_key(site: Site) -> None:
    (site.folder / "certificate.pem").touch(0o600)
    text = site.pem.read_text()
    (site.folder / "certificate.pem").write_text(text[text.index("-----BEGIN CERT") :])


def _config(text: str) -> Callable[[Site], object]:
    return lambda site: (site.folder / "guards.toml").write_text(text)


MISTAKES = {
    "nothing": Mistake("", "--maildir is missing; try --demo to see how it works", complete=False),
    "no accounts": Mistake("--maildir {folder}/mail/{user}", "--accounts is missing; try --demo", complete=False),
    "no maildir": Mistake("--accounts {folder}/accounts", "--maildir is missing; try --demo", complete=False),
    "unknown unique-ids": Mistake("--uidl qmail", "--uidl 'qmail': none of native, dovecot, courier"),
    "unknown option": Mistake("--idlle 3s", "unknown option --idlle; did you mean --idle?"),
    "no value": Mistake("--idle", "option --idle requires argument"),
    "not a duration": Mistake("--idle soon", "option idle: 'soon' is not a duration such as 30s"),
    "not a count": Mistake("--max-per-peer many", "option max-per-peer: 'many' is not"),
    "twice": Mistake("--idle 3s --idle 4s", "--idle is given twice"),
    "unknown guard": Mistake("--observe IdelTimeout", "guard in observe 'IdelTimeout'; did you mean 'IdleTimeout'?"),
    "one word too many": Mistake("extra", "'extra' is one word too many"),
    "an option behind the directory": Mistake("--demo extra --idle 3s", "'--idle' is one word too many; options stand"),
    "a mechanism that is none": Mistake("--mechanisms plian", "--mechanisms: 'PLIAN' is none; did you mean PLAIN?"),
    "a checker of ours without accounts": Mistake(
        "--maildir {folder}/mail/{user} --auth netguard:{folder}/none",
        "--auth netguard: accounts file {folder}/none: No such file",
        complete=False,
    ),
    "log format": Mistake("--log-format xml", "--log-format is text or json, not 'xml'"),
    "foreign accounts": Mistake(
        "",
        "{folder}/accounts is open to others (mode 0644, must be 0600); run: chmod 600 {folder}/accounts",
        prepare=lambda site: site.accounts.chmod(0o644),
    ),
    "missing accounts": Mistake(
        "", "'netguard users -a {folder}/accounts add NAME' makes one", prepare=lambda site: site.accounts.unlink()
    ),
    "damaged accounts": Mistake(
        "", "accounts file {folder}/accounts", prepare=lambda site: site.accounts.write_bytes(b"no database" * 99)
    ),
    "missing mail": Mistake(
        "--maildir {folder}/mial/{user}", "--maildir {folder}/mial/{user}: there is no directory {folder}/mial"
    ),
    "not a mailbox": Mistake("--maildir {folder}", "--maildir {folder}: there is no directory {folder}/cur"),
    "one mailbox for two": Mistake(
        "--maildir {folder}/mail/alice",
        "2 users would share one mailbox; put {user} in the path",
        prepare=lambda site: site.add_user("bob"),
    ),
    "unknown home": Mistake("--maildir ~nobody-has-this-name/{user}", "begins with a home directory that"),
    "missing certificate": Mistake("--tls {folder}/none.pem", "--tls {folder}/none.pem: No such file or directory"),
    "not a certificate": Mistake(
        "--tls {folder}/accounts", "--tls {folder}/accounts: there is no certificate in it (-----BEGIN CERTIFICATE"
    ),
    "damaged certificate": Mistake(
        "--tls {folder}/bad.pem",
        "--tls {folder}/bad.pem:6: what begins here has no end (-----END CERTIFICATE-----)",
        prepare=_truncated,
    ),
    "certificate without key": Mistake(
        "--tls {folder}/certificate.pem", "there is no private key in it", prepare=_without_key
    ),
    "key for all": Mistake(
        "--tls {folder}/self-signed.pem",
        "its private key is open to others (mode 0644",
        prepare=lambda site: site.pem.chmod(0o644),
    ),
    "a key of nobody": Mistake(
        "--tls {folder}/self-signed.pem --tls {folder}/certificate.pem",
        "--tls {folder}/certificate.pem: there is no private key in it",
        prepare=_without_key,
    ),
    "authorities without tls": Mistake(
        "--tls-ca {folder}/self-signed.pem", "--tls-ca asks clients for certificates inside TLS, which needs one here"
    ),
    "missing authorities": Mistake(
        "--tls {folder}/self-signed.pem --tls-ca {folder}/none.pem", "--tls-ca {folder}/none.pem: No such file or"
    ),
    "tls without certificate": Mistake("--listen tls:0", "--listen tls:0 needs a certificate: --tls PEM"),
    "unknown service": Mistake("--listen tcp:pop33", "endpoint tcp:pop33: 'pop33' is not a port from 0 to 65535 or"),
    "unknown service with tls": Mistake(
        "--listen tls:nosuch --tls {folder}/self-signed.pem", "endpoint tls:nosuch: 'nosuch' is not a port from 0"
    ),
    "large port": Mistake("--listen tcp:70000", "endpoint tcp:70000: '70000' is not a port from 0 to 65535"),
    "negative port": Mistake("--listen tcp:-1", "endpoint tcp:-1: '-1' is not a port from 0 to 65535"),
    "unknown endpoint": Mistake("--listen tpc:0", "unknown endpoint type 'tpc'; did you mean 'tcp'?"),
    "unknown keyword": Mistake("--listen tcp:0:intreface=lo", "unknown option 'intreface'; did you mean"),
    "guards twice": Mistake("--listen guard:tcp:0", "--listen 'guard:tcp:0': name an endpoint such as tcp:8080"),
    "two readers of one header": Mistake(
        "--listen haproxy:tcp:0 --proxy-from 127.0.0.1", "--proxy-from reads the PROXY header; leave haproxy: out"
    ),
    "no endpoint": Mistake("--listen=", "--listen '': name an endpoint such as tcp:8080"),
    "foreign address": Mistake(
        "--listen tcp:0:interface=192.0.2.1", "Cannot assign requested address: cannot listen on tcp:0:interface="
    ),
    "no folder for a socket": Mistake(
        "--listen unix:{folder}/none/socket", "No such file or directory: cannot listen on unix:{folder}/none/socket"
    ),
    "host name": Mistake("--hostname two,words", "the host name in an APOP greeting may only have A-Z a-z 0-9"),
    "missing config": Mistake("--config {folder}/none.toml", "{folder}/none.toml: No such file or directory"),
    "config is no TOML": Mistake(
        "--config {folder}/guards.toml", "{folder}/guards.toml: not TOML:", prepare=_config("[guards")
    ),
    "unknown key in config": Mistake(
        "--config {folder}/guards.toml", "unknown option 'idel'; did you mean", prepare=_config("[guards]\nidel=1")
    ),
    "bad value in config": Mistake(
        "--config {folder}/guards.toml", "[guards] idle: 'x' is not a duration", prepare=_config('[guards]\nidle="x"')
    ),
    "table in config": Mistake(
        "--config {folder}/guards.toml", "unknown table or key 'guard'", prepare=_config("[guard]\nidle=1")
    ),
    "options for no listener": Mistake(
        "--config {folder}/guards.toml",
        "guards.toml:1: unknown listener 'tcp:pop'; did you mean 'tcp:pop3'?",
        prepare=_config('[listeners."tcp:pop"]\nidle=1'),
    ),
    "contradiction in a listener": Mistake(
        "--config {folder}/guards.toml",
        "listener tcp:pop3: option min-rate-grace has no effect by itself",
        prepare=_config('[listeners."tcp:pop3"]\nmin-rate-grace=1\nmin-rate-out="off"'),
    ),
    "demo with mail": Mistake("--demo", "--demo brings its own --maildir; leave that out"),
    "demo with port": Mistake("--demo --listen tcp:0", "--demo brings its own --listen; leave", complete=False),
    "demo with certificate": Mistake("--demo --tls x", "--demo brings its own --tls; leave that out", complete=False),
    "demo in a foreign folder": Mistake(
        "--demo {folder}", "--demo: {folder} is not empty and holds no demonstration; name another", complete=False,
        prepare=lambda site: site.accounts.unlink(),
    ),
    "demo in a file": Mistake("--demo {folder}/accounts", "--demo: [Errno 17] File exists", complete=False),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line(mistake: Mistake, site: Site) -> None:
    """What cannot work ends at once with status 1 and exactly one line on standard error, without a traceback."""
    if mistake.prepare is not None:
        mistake.prepare(site)
    words = [*(site.options if mistake.complete else []), *_filled(mistake.words, site).split()]
    ended = twistd("-n", "--pidfile=", "netguard-pop", *words, cwd=site.folder)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("twistd")
    assert _filled(mistake.line, site) in line
    assert_clean(ended.stdout + ended.stderr)


def _filled(text: str, site: Site) -> str:
    return text.replace("{folder}", str(site.folder))


def test_a_port_in_use_is_one_line(site: Site) -> None:
    """A port that another program has ends the start with one line, on the terminal and in the log."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        where = f"tcp:{other.getsockname()[1]}:interface=127.0.0.1"
        ended = twistd("-n", "--pidfile=", "netguard-pop", *site.options, "--listen", where, cwd=site.folder)
    line = f"Address already in use: cannot listen on {where}"
    assert ended.returncode == 1
    assert ended.stderr == f"twistd: {line}\n"
    assert ended.stdout.count(line) == 1
    assert_clean(ended.stdout)


def test_a_demonstration_needs_a_terminal(tmp_path: Path) -> None:
    """A demonstration as a daemon could show nothing to anybody, and is refused before it makes anything."""
    ended = twistd("--pidfile=", "netguard-pop", "--demo", "demo", cwd=tmp_path)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "--demo shows on the terminal what to try: twistd -n netguard-pop --demo" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_files_are_looked_at_as_the_later_user(site: Site) -> None:
    """With twistd's --uid the accounts have to be that user's, and what only root may read is refused at the start."""
    words = ("-n", "--pidfile=", "--uid", "65534", "--gid", "65534", "netguard-pop", *site.options, *LOOPBACK)
    ended = twistd(*words, cwd=site.folder)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "Permission denied" in line
    assert str(site.accounts) in line
    ended = twistd("-n", "--pidfile=", "--uid", "4000000", "netguard-pop", *site.options, *LOOPBACK, cwd=site.folder)
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        "twistd netguard-pop: twistd --uid 4000000: there is no such user (see twistd netguard-pop --help)"
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_privileges_are_dropped() -> None:
    """With --uid it reads the accounts and the mail as that user; the TLS key is root's alone."""
    with TemporaryDirectory(dir="/var/tmp") as folder:  # pytest's own are closed to others
        site = Site.make(Path(folder), HELLO)
        for path in (site.folder, site.accounts, site.folder / "mail", *site.folder.glob("mail/**/*")):
            os.chown(path, NOBODY, NOBODY)
        log, pid_file = site.folder / "log", site.folder / "pid"
        before = ("--pidfile", str(pid_file), "--logfile", str(log), "--uid", str(NOBODY), "--gid", str(NOBODY))
        started = twistd(*before, "netguard-pop", *site.both_ports, cwd=site.folder)
        assert (started.returncode, started.stderr) == (0, "")
        pid = int(pid_file.read_text())
        try:
            assert Path(f"/proc/{pid}").stat().st_uid == NOBODY
            assert Path(f"/proc/{pid}/fd").stat().st_uid == 0  # nobody may look into the process, not that user either
            with Peer(_ports(log)[0]) as peer:
                assert peer.apop().startswith(b"+OK")
                assert peer.ask(b"STAT") == b"+OK 1 25\r\n"
                assert peer.ask(b"QUIT").startswith(b"+OK")
        finally:
            _end(pid)
        assert_clean(log.read_text())


def _ports(log: Path) -> list[int]:
    """The ports that a log tells, in any of its formats."""
    return [int(number) for number in re.findall(r"server\.port\W+(\d+)", log.read_text().replace("message", ""))]


# Its life


def test_it_serves_and_stops(site: Site) -> None:
    """It tells each port with its real address, serves mail, and stops by TERM."""
    with serving(*site.both_ports, cwd=site.folder) as server:
        plain, tls = server.ports(2)
        with Peer(plain) as peer:
            assert peer.apop().startswith(b"+OK")
            peer.send(b"RETR 1\r\nQUIT\r\n")
            assert peer.rest() == (b"+OK message follows\r\nSubject: hello\r\n\r\nhello\r\n.\r\n+OK bye\r\n")
        with Peer(tls, trusting(site.pem)) as peer:
            peer.send(f"USER {USER}\r\nPASS {PASSWORD_SECRET}\r\nSTAT\r\nQUIT\r\n".encode())
            assert peer.rest().endswith(b"+OK 1 25\r\n+OK bye\r\n")
        sessions = server.wait_for("session", 2)
    assert [each["mechanism"] for each in sessions] == ["apop", "password"]
    assert {each["user"] for each in sessions} == {USER}
    assert [each["server.address"] for each in server.events("listening")] == ["127.0.0.1"] * 2


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_in_the_middle_of_a_session(how: signal.Signals, site: Site) -> None:
    """TERM and INT stop it though a client is logged in, who is told, and what was only marked is not deleted."""
    server = Server.start(*site.options, *LOOPBACK, cwd=site.folder)
    with Peer(server.ports()[0]) as peer:
        assert peer.apop().startswith(b"+OK")
        assert peer.ask(b"DELE 1").startswith(b"+OK")
        assert server.stop(how) == 0
        assert peer.rest().startswith(b"-ERR [SYS/TEMP] ")
    assert_clean(server.log)
    assert len(list((site.maildir() / "new").iterdir())) == 1


@pytest.mark.parametrize("log_format", [[], ["--log-format", "json"], ["--log-format", "text"]])
def test_as_a_daemon(log_format: list[str], site: Site) -> None:
    """Without -n it becomes a daemon that tells its port in its log, serves, and goes at TERM."""
    log, pid_file = site.folder / "log", site.folder / "pid"
    before = ("--pidfile", str(pid_file), "--logfile", str(log))
    ended = twistd(*before, "netguard-pop", *log_format, *site.options, *LOOPBACK, cwd=site.folder)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    pid = int(pid_file.read_text())
    try:
        with Peer(_ports(log)[0]) as peer:
            assert peer.apop().startswith(b"+OK")
            assert peer.ask(b"QUIT").startswith(b"+OK")
    finally:
        _end(pid)
    assert not pid_file.exists()
    assert_clean(log.read_text())
    assert "session" in log.read_text()


def _end(pid: int) -> None:
    """Let a process that is not our child end by TERM, and wait for it."""
    watch = os.pidfd_open(pid)
    os.kill(pid, signal.SIGTERM)
    assert _readable(watch)
    os.close(watch)


def _readable(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], PATIENCE)[0])


def test_a_daemon_without_its_port(site: Site) -> None:
    """A daemon that cannot have its port says why, with status 1, and logs one line, no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        where = f"tcp:{other.getsockname()[1]}:interface=127.0.0.1"
        log, pid_file = site.folder / "log", site.folder / "pid"
        before = ("--pidfile", str(pid_file), "--logfile", str(log))
        ended = twistd(*before, "netguard-pop", *site.options, "--listen", where, cwd=site.folder)
    assert ended.returncode == 1
    assert "Address already in use: cannot listen on tcp:" in ended.stderr
    # The daemon tells its parent first, and writes the log while that ends.
    _until(lambda: log.read_text().count(f"Address already in use: cannot listen on {where}") == 1)
    _until(lambda: not pid_file.exists())
    assert_clean(log.read_text() + ended.stderr.replace("\n", ""))


def _until(true: Callable[[], bool]) -> None:
    """Look until it is so: nothing tells us what a process that is not our child has done to a file."""
    deadline, pause = time.monotonic() + PATIENCE, threading.Event()
    while not true():
        assert time.monotonic() < deadline
        pause.wait(0.01)


def test_users_may_come_and_go(site: Site) -> None:
    """A user who is added or removed while it runs is known, or unknown, at the next login."""
    with serving(*site.options, *LOOPBACK, cwd=site.folder) as server:
        (port,) = server.ports()
        site.add_user("bob", HELLO)
        with Peer(port) as peer:
            assert peer.apop("bob").startswith(b"+OK")
        store = Store(site.accounts)
        assert store.remove("bob")
        store.close()
        with Peer(port) as peer:
            assert peer.apop("bob").startswith(b"-ERR [AUTH]")


def test_one_mailbox_for_one_user(site: Site) -> None:
    """A path without {user} is the mailbox of the only user."""
    words = ("--maildir", str(site.maildir()), "--accounts", str(site.accounts), *LOOPBACK)
    with serving(*words, cwd=site.folder) as server, Peer(server.ports()[0]) as peer:
        assert peer.apop().startswith(b"+OK")
        assert peer.ask(b"STAT") == b"+OK 1 25\r\n"


def test_certificate_and_key_apart(site: Site) -> None:
    """--tls twice takes the certificates from the first file and the key from the second, as certbot writes them."""
    text = site.pem.read_text()
    at = text.index("-----BEGIN CERT")
    chain, key = site.folder / "fullchain.pem", site.folder / "privkey.pem"
    chain.write_text(text[at:])
    key.touch(0o600)
    key.write_text(text[:at])
    words = (*site.options, "--tls", str(chain), "--tls", str(key), "--listen", "tls:0:interface=127.0.0.1")
    with serving(*words, cwd=site.folder) as server, Peer(server.ports()[0], trusting(site.pem)) as peer:
        assert peer.greeting.startswith(b"+OK")


def test_each_name_has_its_certificate(site: Site) -> None:
    """--tls given for several names: a client that checks the name it asks for is content with each, either way in."""
    authority = trustme.CA()
    names = ("one.example.org", "two.example.org", "any.example.net")
    given = ("one.example.org", "two.example.org", "*.example.net")
    files = [issued(site.folder / f"{at}.pem", authority, name) for at, name in enumerate(given)]
    words = [word for file in files for word in ("--tls", str(file))]
    ports = ("--listen", "tcp:0:interface=127.0.0.1", "--listen", "tls:0:interface=127.0.0.1")
    context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    with serving(*site.options, *words, *ports, cwd=site.folder) as server:
        plain, tls = server.ports(2)
        for name in names:
            with (
                socket.create_connection(("127.0.0.1", tls), PATIENCE) as below,
                context.wrap_socket(below, server_hostname=name) as inside,
            ):
                assert inside.recv(3) == b"+OK"
            with Peer(plain) as peer:
                assert peer.ask(b"STLS").startswith(b"+OK")
                peer.socket = context.wrap_socket(peer.socket, server_hostname=name)
                assert peer.ask(b"QUIT") == b"+OK bye\r\n"


def test_a_unix_socket(site: Site) -> None:
    """It listens on any endpoint, a UNIX socket too, and tells its path."""
    path = site.folder / "socket"
    with serving(*site.options, "--listen", f"unix:{path}", cwd=site.folder) as server:
        assert server.wait_for("listening")[0]["server.address"] == str(path)
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(str(path))
            assert client.recv(1000).startswith(b"+OK POP3 ready <")


def test_host_name_in_the_greeting(site: Site) -> None:
    """The greeting names the host that --hostname says."""
    words = (*site.options, *LOOPBACK, "--hostname", "mail.example.org")
    with serving(*words, cwd=site.folder) as server, Peer(server.ports()[0]) as peer:
        assert peer.greeting.endswith(b"@mail.example.org>\r\n")


# Its guards


def test_login_timeout(site: Site) -> None:
    """Who does not log in is cut after --login; who has logged in stays."""
    with serving(*site.options, *LOOPBACK, "--login", "1s", cwd=site.folder) as server:
        (port,) = server.ports()
        began = time.monotonic()
        with Peer(port) as honest, Peer(port) as other:
            assert honest.apop().startswith(b"+OK")
            assert other.ask(b"CAPA").startswith(b"+OK")
            other.rest()
            assert 1 <= time.monotonic() - began < 10
            assert honest.ask(b"NOOP") == b"+OK\r\n"
        (cut,) = server.wait_for("cut")
        assert (cut["option"], cut["limit"]) == ("login", "1s")


def test_a_silent_client_has_ten_minutes() -> None:
    """As RFC 1939 asks in section 3, unless the operator says otherwise."""
    guards = parsed("--maildir", "/mail/{user}", "--accounts", "a").policy.guards
    assert [each.after for each in guards if isinstance(each, IdleTimeout)] == [600.0]


@pytest.mark.parametrize("secure", [False, True])
def test_idle_timeout(secure: bool, site: Site) -> None:
    """Who falls silent is cut after --idle, in TLS as well; the mailbox is free again."""
    with serving(*site.both_ports, "--idle", "1s", cwd=site.folder) as server:
        port = server.ports(2)[secure]
        context = trusting(site.pem) if secure else None
        for _ in range(2):
            with Peer(port, context) as peer:
                assert peer.apop().startswith(b"+OK")
                assert peer.rest() == b""
        assert {each["option"] for each in server.wait_for("cut", 2)} == {"idle"}
        assert len(server.wait_for("session", 2, reason="Idle", user=USER)) == 2


def test_handshake_timeout(site: Site) -> None:
    """Who says nothing on the TLS port, or no hello after STLS, is cut after --handshake, and for nothing else.

    The greeting waits for TLS all the while; that the peer does not take it is no slow reading.
    """
    limits = ("--handshake", "2s", "--min-rate-out", "100", "--min-rate-grace", "0.5s")
    with serving(*site.both_ports, *limits, cwd=site.folder) as server:
        plain, tls = server.ports(2)
        with socket.create_connection(("127.0.0.1", tls), PATIENCE) as silent, Peer(plain) as peer:
            assert peer.ask(b"STLS").startswith(b"+OK")
            assert peer.gone()
            assert _gone(silent)
        assert {each["option"] for each in server.wait_for("cut", 2)} == {"handshake"}


@pytest.mark.parametrize("secure", [False, True])
def test_write_stall(secure: bool, site: Site) -> None:
    """Who asks for a large message and takes nothing of it is cut after --write-stall; the mailbox is free again."""
    (site.maildir() / "new" / "1800000000.large.host").write_bytes(b"a line of mail\n" * 2_000_000)
    with serving(*site.both_ports, "--write-stall", "1s", cwd=site.folder) as server:
        port = server.ports(2)[secure]
        for count in (1, 2):
            with Peer(port, trusting(site.pem) if secure else None) as peer:
                assert peer.apop().startswith(b"+OK")
                peer.send(b"DELE 1\r\nRETR 2\r\nQUIT\r\n")
                cut = server.wait_for("cut", count)[-1]
            assert (cut["option"], cut["limit"]) == ("write-stall", "1s")
        server.wait_for("session", 2, reason="WriteStalled", deleted=0)
    assert len(list((site.maildir() / "new").iterdir())) == 2


def test_lifetime(site: Site) -> None:
    """However busy, a session ends at the age of --lifetime; what it had marked stays."""
    with serving(*site.options, *LOOPBACK, "--lifetime", "1s", cwd=site.folder) as server:
        with Peer(server.ports()[0]) as peer:
            assert peer.apop().startswith(b"+OK")
            assert peer.ask(b"DELE 1").startswith(b"+OK")
            while _answers(peer):
                pass
        assert server.wait_for("cut")[0]["option"] == "lifetime"
    assert len(list((site.maildir() / "new").iterdir())) == 1


def _answers(peer: Peer) -> bool:
    try:
        return peer.ask(b"NOOP") == b"+OK\r\n"
    except ConnectionError:
        return False


def test_limit_for_each_peer(site: Site) -> None:
    """One more than --max-per-peer is refused, counted over all ports, and let in when another has left."""
    with serving(*site.both_ports, "--max-per-peer", "2", cwd=site.folder) as server:
        plain, tls = server.ports(2)
        with Peer(plain) as first, Peer(tls, trusting(site.pem)):
            with socket.create_connection(("127.0.0.1", plain), PATIENCE) as third:
                assert _gone(third)
            (refused,) = server.wait_for("refused")
            assert (refused["option"], refused["limit"]) == ("max-per-peer", "2")
            assert first.ask(b"QUIT").startswith(b"+OK")
            first.rest()
            server.wait_for("session")
            with Peer(plain) as fourth:
                assert fourth.greeting.startswith(b"+OK")


def _gone(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_guards_from_a_file(site: Site) -> None:
    """--config brings options, and the command line wins over it."""
    config = site.folder / "guards.toml"
    config.write_text('[guards]\nidle = "1h"\nfirst-byte = "1s"\n')
    words = (*site.options, *LOOPBACK, "--config", str(config), "--idle", "1m")
    with serving(*words, cwd=site.folder) as server, Peer(server.ports()[0]) as peer:
        assert peer.rest() == b""
        assert server.wait_for("cut")[0]["option"] == "first-byte"


# Whatever is sent

WORDS = (
    b"USER",
    b"PASS",
    b"APOP",
    b"STLS",
    b"CAPA",
    b"STAT",
    b"LIST",
    b"RETR",
    b"TOP",
    b"UIDL",
    b"DELE",
    b"RSET",
    b"NOOP",
    b"UTF8",
    b"LANG",
)
ARGUMENTS = (
    b"",
    b" ",
    b" 1",
    b" 0",
    b" -1",
    b" 1 1",
    b" 99999999999999999999",
    b" +1",
    b" \x00",
    b" \xff\x1b[2J",
    b" %s%n",
)
OURS = re.compile(
    rb"(\+OK|-ERR) [a-zA-Z0-9 ,/\[\]-]+|SASL [A-Z0-9 -]+"
    rb"|\+OK 1 17[0-9]+[.]hello[.]host|\+OK|[A-Z-]+|IMPLEMENTATION netguard"
    rb"|1 25|1 [!-~]+|Subject: hello||hello|\.|UTF8 USER|i-default English|en English"
)


def _junk(random: Random) -> bytes:
    """Commands, half commands and bytes that are none, as one client might send them; never a QUIT."""
    pieces: list[bytes] = []
    for _ in range(random.randrange(1, 12)):
        word = random.choice([*WORDS, random.randbytes(random.randrange(20)).replace(b"Q", b"q"), b""])
        end = random.choice([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b""])
        pieces.append(word + random.choice(ARGUMENTS) + end)
    return b"".join(pieces)


@pytest.mark.parametrize("logged_in", [False, True])
def test_junk_is_answered_in_words_of_our_own(logged_in: bool, site: Site) -> None:
    """Whatever comes, before a login or after it, the answers are ours, the mail stays, and the log is clean."""
    with serving(*site.options, *LOOPBACK, "--max-per-peer", "500", cwd=site.folder) as server:
        (port,) = server.ports()
        for seed in range(150):
            junk = _junk(Random(seed))  # noqa: S311 - the same each time
            with Peer(port) as peer:
                if logged_in:
                    assert peer.apop().startswith(b"+OK")
                peer.send(junk)
                peer.socket.shutdown(socket.SHUT_WR)
                said = peer.rest()
            for line in said.replace(b"\r\n.\r\n", b"\r\n").splitlines():
                assert OURS.fullmatch(line), (seed, junk, line)
            server.wait_for("session", seed + 1)
    assert len(list((site.maildir() / "new").iterdir())) == 1


# In this process


def parsed(*words: str) -> pop.Options:
    """The options as they are without twistd."""
    options = pop.Options()
    options.parseOptions(words)
    return options


@asynccontextmanager
async def started(*words: str) -> AsyncIterator[list[int]]:
    """The service as twistd would start it, in this process; its ports."""
    service = pop.makeService(parsed(*words))
    service.privilegedStartService()
    service.startService()
    try:
        ports: list[Any] = [await each.listening for each in service if isinstance(each, ListeningService)]
        yield [port.getHost().port for port in ports]
    finally:
        await maybeDeferred(service.stopService)


async def test_service(site: Site) -> None:
    """The service that makeService returns listens when it is started, and no longer when it is stopped."""

    def work() -> tuple[bytes, bytes]:
        with Peer(plain) as one, Peer(tls, trusting(site.pem)) as other:
            one.apop()
            one.send(b"STAT\r\nQUIT\r\n")
            said = one.rest()
            other.send(f"USER {USER}\r\nPASS {PASSWORD_SECRET}\r\nSTAT\r\nQUIT\r\n".encode())
            return said, other.rest()

    async with started(*site.both_ports) as (plain, tls):
        by_apop, by_password = await deferToThread(work)
        assert by_apop == b"+OK 1 25\r\n+OK bye\r\n"
        assert by_password.endswith(b"+OK 1 25\r\n+OK bye\r\n")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", plain))


async def test_limits_count_all_ports_together(site: Site, logged: Logged) -> None:
    """A limit for each peer counts plain and TLS connections together."""

    def work() -> bool:
        with Peer(plain), Peer(tls, trusting(site.pem)), socket.create_connection(("127.0.0.1", plain)) as third:
            return _gone(third)

    async with started(*site.both_ports, "--max-per-peer", "2") as (plain, tls):
        assert await deferToThread(work)
    assert [each["option"] for each in logged.named("refused")] == ["max-per-peer"]


async def test_demo_shows_its_ports(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A demonstration that runs shows commands with the ports that it has."""
    async with started("--demo", str(tmp_path / "demo")) as (plain, tls):
        shown = capfd.readouterr().out
        assert f"pop3://127.0.0.1:{plain}/" in shown
        assert f"pop3s://localhost:{tls}/2" in shown


@pytest.mark.parametrize("words", [("--maildir", "/none/{user}"), ("--listen", "guard:tcp:0"), ("--tls", "/none")])
def test_make_service_refuses(words: tuple[str, ...], site: Site) -> None:
    """What makeService cannot honour is a UsageError where no twistd would print it."""
    with pytest.raises(usage.UsageError):
        pop.makeService(parsed(*site.options, *words))


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_without_twistd(mistake: Mistake, site: Site) -> None:
    """A program that uses these options itself gets each mistake as a UsageError."""
    if mistake.prepare is not None:
        mistake.prepare(site)
    words = _filled(mistake.words, site).split()
    with pytest.raises((usage.UsageError, CannotServeError)) as caught:
        pop.makeService(parsed(*(site.options if mistake.complete else []), *words)).privilegedStartService()
    assert _filled(mistake.line, site) in str(caught.value)


def test_ports_by_default() -> None:
    """It listens on the port named pop3, and with a certificate on pop3s too, unless it is told otherwise."""
    needed = ("--maildir", "/mail/{user}", "--accounts", "a")
    assert parsed(*needed).listens == ["tcp:pop3"]
    assert parsed(*needed, "--tls", "x").listens == ["tcp:pop3", "tls:pop3s"]
    assert parsed(*needed, "--listen", "tcp:1", "--listen", "tcp:2", "--tls", "x").listens == ["tcp:1", "tcp:2"]


def test_policy() -> None:
    """Its policy is made of the defaults for POP3 and of what was given."""
    needed = ("--maildir", "/mail/{user}", "--accounts", "a")
    assert parsed(*needed).policy == Policy.from_options({}, "pop")
    assert parsed(*needed, "--idle", "3s").policy == Policy.from_options({"idle": "3s"}, "pop")


def test_looks_as_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """With --uid it is that user while it looks at files, and itself again afterwards, whatever happened."""
    became: list[tuple[str, int]] = []
    monkeypatch.setattr(os, "seteuid", lambda uid: became.append(("uid", uid)))
    monkeypatch.setattr(os, "setegid", lambda gid: became.append(("gid", gid)))

    def fail() -> None:
        became.append(("looked", 0))
        raise LookupError

    with pytest.raises(LookupError), pop._as_later({"uid": 1, "gid": 2}):
        fail()
    mine = [("uid", os.geteuid()), ("gid", os.getegid())]
    assert became == [("gid", 2), ("uid", 1), ("looked", 0), *mine]
    became.clear()
    with pop._as_later({"uid": os.getuid(), "gid": None}):
        pass
    assert became[0] == ("gid", pwd.getpwuid(os.getuid()).pw_gid)
    became.clear()
    with pop._as_later({"uid": None, "gid": 2}):
        pass
    assert became == []


def test_another_user_who_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user id that nobody has, or that only root may take, is a clear error."""

    def refuse(_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    with (
        pytest.raises(ValueError, match="--uid 4000000: there is no such user"),
        pop._as_later({"uid": 4000000}),
    ):
        pass
    monkeypatch.setattr(os, "setegid", refuse)
    with pytest.raises(ValueError, match="twistd --uid 1: Operation not permitted"), pop._as_later({"uid": 1}):
        pass


def test_host_name_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own name stands in the greeting as far as it can."""
    monkeypatch.setattr(socket, "gethostname", lambda: "my_host.example ü")
    assert pop._hostname() == "my_host.example--"
    monkeypatch.setattr(socket, "gethostname", lambda: "")
    assert pop._hostname() == "localhost"


def test_help_names_every_option(site: Site) -> None:
    """The help names its own options and the guards'."""
    shown = twistd("netguard-pop", "--help", cwd=site.folder)
    assert shown.returncode == 0
    for option in ("--maildir", "--accounts", "--tls", "--listen", "--demo", "--hostname", "--idle", "--max-per-peer"):
        assert re.search(rf"^  {option}=?$", shown.stdout, re.MULTILINE)

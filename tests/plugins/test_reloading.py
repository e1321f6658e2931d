"""SIGHUP: certificates, accounts and rules are read again, nobody is dropped, and what is broken changes nothing."""

from __future__ import annotations

import shutil
import signal
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from cryptography import x509
from twisted.internet.task import Clock

from netguard.errors import OptionError
from netguard.plugins.reloading import Reloading
from netguard.service import Service
from tests.popserver import PATIENCE, Peer, Server, Site, serving, trusting

if TYPE_CHECKING:
    from tests.conftest import Logged


# In this process


@pytest.fixture
def house() -> Service:
    """What reads files."""
    return Service(Clock)


async def reloaded(service: Reloading) -> None:
    """Wait until nothing is under way."""
    while service._under_way is not None:
        await service._under_way


async def test_what_is_wrong_is_told_and_the_rest_is_read(house: Service, logged: Logged) -> None:
    """All files are looked at, whatever is wrong with some."""
    from twisted.internet import reactor

    read: list[str] = []
    wrong: list[Exception] = []

    def look() -> None:
        if wrong:
            raise wrong[0]

    def rules() -> None:
        read.append("rules")
        if wrong:
            raise OptionError("rules:3: no rule")

    house.when_reloaded(rules)
    service = Reloading(house, [look, lambda: read.append("accounts")], reactor)
    service.startService()
    try:
        service.reload()
        await reloaded(service)
        wrong.append(OSError("accounts: no"))
        service.reload()
        await reloaded(service)
    finally:
        service.stopService()
    assert read == ["accounts", "rules"] * 2
    assert len(logged.named("reloaded")) == 1
    assert [each["reason"] for each in logged.named("reload_failed")] == ["accounts: no", "rules:3: no rule"]


async def test_a_signal_during_a_reload_is_one_more_and_a_stop_waits(house: Service, logged: Logged) -> None:
    """A hundred signals at once are few reloads, the last of which begins after the last signal; then it stops."""
    from twisted.internet import reactor

    service = Reloading(house, [], reactor)
    service.startService()
    for _ in range(100):
        service.reload()
    await reloaded(service)
    assert len(logged.named("reloaded")) == 2
    service.reload()
    await service.stopService()
    assert len(logged.named("reloaded")) == 3
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


async def test_a_reload_that_breaks_at_once_does_not_stop_the_next(house: Service, logged: Logged) -> None:
    """Before anything was awaited: it is not taken for one that is still under way."""
    from twisted.internet import reactor

    broken = [RuntimeError("ours")]

    def begun() -> None:
        if broken:
            raise broken.pop()

    service = Reloading(house, [], reactor)
    service.when_reloading(begun, lambda _: None)
    service.startService()
    try:
        assert await service.reload() == ["it failed; the log says how"]
        assert await service.reload() == []
    finally:
        service.stopService()
    assert [str(each.value) for each in logged.take_failures(RuntimeError)] == ["ours"]


async def test_a_reload_that_breaks_does_not_stop_the_next(house: Service, logged: Logged) -> None:
    """A defect of ours is an error in the log, and no more."""
    from twisted.internet import reactor

    broken = [RuntimeError("ours")]

    def read() -> None:
        if broken:
            raise broken.pop()

    house.when_reloaded(read)
    service = Reloading(house, [], reactor)
    service.startService()
    try:
        asked = service.reload()
        assert service._under_way is not None
        assert await asked == ["it failed; the log says how"]
        asked = service.reload()
        await reloaded(service)
        assert await asked == []
    finally:
        service.stopService()
    assert len(logged.named("reloaded")) == 1
    assert [str(each.value) for each in logged.take_failures(RuntimeError)] == ["ours"]


async def test_whoever_asks_for_a_reload_hears_what_came_of_it(house: Service, logged: Logged) -> None:
    """Also who asks while one is under way; one who has gone is left alone."""
    from twisted.internet import reactor

    troubles = ["rules:3: no"]

    def read() -> None:
        if troubles:
            raise OptionError(troubles[0])

    house.when_reloaded(read)
    service = Reloading(house, [], reactor)
    service.startService()
    try:
        first, gone, second = service.reload(), service.reload(), service.reload()
        gone.addErrback(lambda _: None)
        gone.cancel()
        assert [await first, await second] == [troubles, troubles]
    finally:
        service.stopService()


# As a process


def renew(site: Site) -> None:
    """A certificate of a new key in the place of the old one, as certificate managers do it."""
    authority = trustme.CA()
    new = site.folder / "new.pem"
    new.touch(0o600)
    new.write_bytes(
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.bytes() + authority.cert_pem.bytes()
    )
    new.replace(site.pem)


def shown(port: int) -> int:
    """The serial number of the certificate that a newcomer is shown."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # what it is, is the question
    with Peer(port, context) as peer:
        assert isinstance(peer.socket, ssl.SSLSocket)
        return x509.load_der_x509_certificate(peer.socket.getpeercert(binary_form=True) or b"").serial_number


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """What an operator has, with a file of rules."""
    site = Site.make(tmp_path, {"hello": b"Subject: hello\n\nhello\n"})
    rules(site, "allow 127.0.0.0/8")
    return site


def rules(site: Site, text: str) -> None:
    """Write the file of rules."""
    (site.folder / "net.rules").write_text(text + "\n")


def hang_up(server: Server, name: str, count: int) -> list[dict[str, Any]]:
    """Send SIGHUP, and wait for what comes of it."""
    server.process.send_signal(signal.SIGHUP)
    return server.wait_for(name, count)


def test_hang_up(site: Site) -> None:
    """New certificates, rules and accounts are used by those who come then; those who are in stay, and work on."""
    with serving(*site.both_ports, "--access", str(site.folder / "net.rules"), cwd=site.folder) as server:
        plain, tls = server.ports(2)
        before = shown(tls)
        with Peer(tls, trusting(site.pem)) as inside, Peer(plain) as clear:
            assert clear.apop().startswith(b"+OK")
            renew(site)
            site.add_user("bob")
            assert shown(tls) == before
            hang_up(server, "reloaded", 1)
            after = shown(tls)
            assert after != before
            for peer in (inside, clear):
                assert peer.ask(b"CAPA").startswith(b"+OK")
                while peer.line() != b".\r\n":
                    pass
            with Peer(tls, trusting(site.pem)) as late:
                assert late.apop("bob").startswith(b"+OK")
            rules(site, "deny 127.0.0.0/8")
            hang_up(server, "reloaded", 2)
            with socket.create_connection(("127.0.0.1", plain)) as refused:
                assert refused.recv(100) == b""
            assert clear.ask(b"STAT") == b"+OK 1 25\r\n"
        assert server.events("reload_failed") == []


@pytest.mark.parametrize("what", ["certificate", "half a certificate", "key", "rules", "accounts"])
def test_what_is_broken_changes_nothing(what: str, site: Site) -> None:
    """One event names the file, and the line where it has lines; what was loaded before is used on."""
    file, told = {
        "certificate": (site.pem, ":6: this certificate is damaged"),
        "half a certificate": (site.pem, ":6: what begins here has no end"),
        "key": (site.pem, ": its private key is open to others (mode 0604"),
        "rules": (site.folder / "net.rules", ":2: "),
        "accounts": (site.accounts, " is open to others (mode 0604"),
    }[what]
    with serving(*site.both_ports, "--access", str(site.folder / "net.rules"), cwd=site.folder) as server:
        _, tls = server.ports(2)
        before = shown(tls)
        whole = shutil.copy2(file, site.folder / "whole")
        text = file.read_bytes()
        match what:
            case "certificate":
                at = text.index(b"-----BEGIN CERT") + 40
                file.write_bytes(text[:at] + text[at + 8 :])
            case "half a certificate":
                file.write_bytes(text[:-60])
            case "rules":
                file.write_text("allow 127.0.0.0/8\nallow 127.0.0/99\n")
            case _:
                file.chmod(0o604)
        (event,) = hang_up(server, "reload_failed", 1)
        assert f"{file}{told}" in event["reason"]
        assert event["level"] == "error"
        assert server.events("reloaded") == []
        assert shown(tls) == before
        Path(whole).replace(file)
        hang_up(server, "reloaded", 1)
        with Peer(tls, trusting(site.pem)) as peer:
            assert peer.apop().startswith(b"+OK")


def test_hang_ups_without_end_drop_nobody(site: Site) -> None:
    """While certificates change all the time, handshakes succeed and sessions go on."""
    with serving(*site.both_ports, "--max-per-peer", "500", cwd=site.folder) as server:
        _, tls = server.ports(2)
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with Peer(tls, context) as peer:
            assert peer.apop().startswith(b"+OK")
            for _ in range(30):
                renew(site)
                server.process.send_signal(signal.SIGHUP)
                assert peer.ask(b"NOOP") == b"+OK\r\n"
                with Peer(tls, context) as other:
                    assert other.greeting.startswith(b"+OK")
        server.wait_for("reloaded", 1)
        assert server.events("reload_failed") == []


def test_a_demonstration_ends_with_its_terminal(tmp_path: Path) -> None:
    """A terminal that is closed sends SIGHUP: what was only tried does not stay behind."""
    server = Server.start("--demo", str(tmp_path / "demo"), cwd=tmp_path)
    server.ports(2)
    assert server.stop(signal.SIGHUP) == -signal.SIGHUP


@pytest.mark.parametrize("cuts", [False, True])
@pytest.mark.parametrize("wrapped", [False, True])
def test_who_is_in_stays_unless_told_otherwise(cuts: bool, wrapped: bool, site: Site) -> None:
    """With --reload-cuts, whom the rules do not let in any more is cut, with the rule that says so."""
    rules(site, "allow ALL")
    words = ["--access", str(site.folder / "net.rules"), *(["--reload-cuts"] if cuts else [])]
    if wrapped:
        (site.folder / "root").mkdir()
        command = ["netguard-wrap", "--log-format", "json", *words, "--", "web", "--path", "root"]
        command += ["--listen", "tcp:0:interface=127.0.0.1"]
    else:
        command = ["netguard-pop", "--log-format", "json", *site.both_ports, *words]
    server = Server.twistd(*command, cwd=site.folder)
    try:
        port = server.ports(1 if wrapped else 2)[0]
        server.wait_for("started")
        with (
            socket.create_connection(("127.0.0.1", port), PATIENCE) as inside,
            socket.create_connection(("127.0.0.1", port), PATIENCE, ("127.0.0.2", 0)) as other,
        ):
            for each in (inside, other):
                each.sendall(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n" if wrapped else b"")
                assert each.recv(1000)
            rules(site, "deny 127.0.0.2\nallow ALL")
            hang_up(server, "reloaded", 1)
            if cuts:
                (event,) = server.wait_for("cut")
                assert (event["client.address"], event["option"]) == ("127.0.0.2", "access")
                assert event["limit"].startswith("deny 127.0.0.2")
                with pytest.raises(ConnectionResetError):
                    other.recv(1000)
            for each in (inside,) if cuts else (inside, other):
                each.sendall(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n" if wrapped else b"CAPA\r\n")
                assert each.recv(1000)
            with socket.create_connection(("127.0.0.1", port), PATIENCE, ("127.0.0.2", 0)) as late:
                assert late.recv(100) == b""
            rules(site, "deny")
            (event,) = hang_up(server, "reload_failed", 1)
            assert f"{site.folder}/net.rules:1: 'deny' is not a rule" in event["reason"]
    finally:
        assert server.stop() == 0

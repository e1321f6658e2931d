"""Real mail programs fetch every message of a varied Maildir byte for byte, and remove what they remove, no more."""

from __future__ import annotations

import poplib
import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.popserver import (
    APOP_SECRET,
    PASSWORD_SECRET,
    PATIENCE,
    USER,
    Server,
    Site,
    make_maildir,
    on_the_wire,
    stored,
    trusting,
)
from tests.programs import needs, private, run

# poplib


def apop(server: Server, site: Site) -> poplib.POP3:
    """Log in by APOP."""
    box = poplib.POP3("127.0.0.1", server.ports(2)[0], timeout=PATIENCE)
    box.apop(USER, APOP_SECRET)
    return box


def stls(server: Server, site: Site) -> poplib.POP3:
    """Log in by USER and PASS after STLS."""
    box = poplib.POP3("localhost", server.ports(2)[0], timeout=PATIENCE)
    box.stls(trusting(site.pem))
    box.user(USER)
    box.pass_(PASSWORD_SECRET)
    return box


def implicit(server: Server, site: Site) -> poplib.POP3:
    """Log in by USER and PASS inside TLS from the first byte."""
    box = poplib.POP3_SSL("localhost", server.ports(2)[1], timeout=PATIENCE, context=trusting(site.pem))
    box.user(USER)
    box.pass_(PASSWORD_SECRET)
    return box


Login = Callable[[Server, Site], poplib.POP3]


@pytest.mark.parametrize("login", [apop, stls, implicit])
def test_poplib_fetches_everything(
    login: Login, server: Server, site: Site, messages: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's poplib gets each message as it is stored, and STAT, LIST and UIDL agree with what it gets."""
    monkeypatch.setattr(poplib, "_MAXLINE", 1 << 20)
    want = [on_the_wire(each) for each in messages.values()]
    box = login(server, site)
    got = [b"".join(line + b"\r\n" for line in box.retr(number)[1]) for number in range(1, len(want) + 1)]
    assert list(map(len, got)) == list(map(len, want))
    assert got == want
    assert box.stat() == (len(want), sum(map(len, want)))
    assert [tuple(map(int, line.split())) for line in box.list()[1]] == list(enumerate(map(len, want), 1))
    uids = [line.split()[1] for line in box.uidl()[1]]
    assert len(set(uids)) == len(want)
    assert box.top(1, 0)[1][-1] == b""
    box.quit()


@pytest.mark.parametrize("login", [apop, stls, implicit])
def test_poplib_deletes_at_quit(login: Login, server: Server, site: Site) -> None:
    """What is deleted before QUIT is gone after it, and nothing else; the others keep their bytes and unique ids."""
    before = stored(site.maildir())
    box = login(server, site)
    uids = box.uidl()[1]
    for number in (2, 4, len(before)):
        box.dele(number)
    assert stored(site.maildir()) == before
    box.quit()
    kept = [number for number in range(len(before)) if number + 1 not in (2, 4, len(before))]
    assert stored(site.maildir()) == [before[number] for number in kept]
    box = login(server, site)
    assert [line.split()[1] for line in box.uidl()[1]] == [uids[number].split()[1] for number in kept]
    box.quit()


@pytest.mark.parametrize("login", [apop, stls, implicit])
def test_without_quit_nothing_is_deleted(login: Login, server: Server, site: Site) -> None:
    """A client that goes away without QUIT, or takes its deletions back, has deleted nothing."""
    before = stored(site.maildir())
    box = login(server, site)
    box.dele(1)
    box.sock.shutdown(socket.SHUT_RDWR)
    box.close()
    server.wait_for("session")
    assert stored(site.maildir()) == before
    box = login(server, site)
    box.dele(1)
    box.rset()
    box.quit()
    assert stored(site.maildir()) == before


INTERNATIONAL = 'Subject: Grüße aus Zürich\nFrom: "Jürgen" <jürgen@exämple.net>\n\nschöne Grüße\n'.encode()
ENCODED = (
    b"Subject: =?utf-8?b?R3LDvMOfZQ==?= aus =?utf-8?b?WsO8cmljaA==?=\r\n"
    b'From: "=?utf-8?b?SsO8cmdlbg==?=" <=?utf-8?b?asO8cmdlbg==?=@=?utf-8?b?ZXjDpG1wbGUubmV0?=>\r\n\r\n'
) + "schöne Grüße\r\n".encode()


@pytest.mark.parametrize(("utf8", "wanted"), [(True, on_the_wire(INTERNATIONAL)), (False, ENCODED)])
def test_poplib_reads_utf8_if_it_says_so(utf8: bool, wanted: bytes, server: Server, site: Site) -> None:
    """A name in UTF-8, however its letters are composed, and headers as they are; else headers in ASCII (RFC 6856)."""
    site.add_user("jürgen", {"hello": INTERNATIONAL})
    box = poplib.POP3_SSL("localhost", server.ports(2)[1], timeout=PATIENCE, context=trusting(site.pem))
    capabilities = box.capa()
    assert (capabilities["UTF8"], capabilities["LANG"]) == (["USER"], [])
    if utf8:
        box.utf8()
    box.user("ju\u0308rgen")
    box.pass_(PASSWORD_SECRET)
    assert box.list()[1] == [b"1 %d" % len(on_the_wire(INTERNATIONAL))]
    assert b"".join(line + b"\r\n" for line in box.retr(1)[1]) == wanted
    assert b"".join(line + b"\r\n" for line in box.top(1, 0)[1]) == wanted.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    box.quit()


# curl


def curl_login(how: str, server: Server, site: Site) -> list[str]:
    """The options and the address for a login. By itself, curl takes APOP in clear, and SASL's PLAIN inside TLS."""
    plain, tls = server.ports(2)
    secret = APOP_SECRET if how == "apop" else f'"{PASSWORD_SECRET}"'
    netrc = private(site.folder / "netrc", f"default login {USER} password {secret}\n")
    options = ["curl", "--silent", "--show-error", "--max-time", str(PATIENCE), "--netrc-file", netrc]
    return [
        *options,
        *{
            "apop": ["--login-options", "AUTH=+APOP", f"pop3://localhost:{plain}/"],
            "stls": ["--ssl-reqd", "--cacert", str(site.pem), f"pop3://localhost:{plain}/"],
            "pop3s": ["--cacert", str(site.pem), f"pop3s://localhost:{tls}/"],
        }[how],
    ]


@needs("curl")
@pytest.mark.parametrize("how", ["apop", "stls", "pop3s"])
def test_curl_fetches_everything(how: str, server: Server, site: Site, messages: Mapping[str, bytes]) -> None:
    """What curl gets is each message as it is stored."""
    *options, url = curl_login(how, server, site)
    for number, (name, content) in enumerate(messages.items(), 1):
        got = run(*options, f"{url}{number}", home=site.folder)
        # curl makes one line end of nothing at all.
        assert got == (on_the_wire(content) or b"\r\n"), name
    sizes = [tuple(map(int, line.split())) for line in run(*options, url, home=site.folder).splitlines()]
    assert sizes == [(number, len(on_the_wire(each))) for number, each in enumerate(messages.values(), 1)]


@needs("curl")
@pytest.mark.parametrize("how", ["apop", "stls", "pop3s"])
def test_curl_deletes(how: str, server: Server, site: Site) -> None:
    """A message that curl deletes is gone, and no other."""
    before = stored(site.maildir())
    *options, url = curl_login(how, server, site)
    run(*options, "--head", "--request", "DELE 3", url, home=site.folder)
    server.wait_for("session", deleted=1)
    assert stored(site.maildir()) == before[:2] + before[3:]


# fetchmail


def fetchmail(how: str, keep: str, server: Server, site: Site, out: Path) -> list[bytes]:
    """Let fetchmail poll once; returns what it delivered."""
    plain, tls = server.ports(2)
    secure = f"sslcertck sslcertfile {site.pem} sslcommonname localhost"
    protocol, port, secret, ssl = {
        "apop": ("apop", plain, APOP_SECRET, 'sslproto ""'),
        "stls": ("pop3", plain, PASSWORD_SECRET, f'sslproto "auto" {secure}'),
        "pop3s": ("pop3", tls, PASSWORD_SECRET, f"ssl {secure}"),
    }[how]
    rc = private(
        site.folder / "fetchmailrc",
        f"""set invisible
            poll localhost protocol {protocol} port {port} no dns uidl
            user "{USER}" password "{secret}" is "root" here {ssl} {keep} fetchall
            no rewrite no stripcr pass8bits no mimedecode no dropstatus no dropdelivered
            mda "cat > {out}/$$.$(date +%N)"
        """,
    )
    files = ("--pidfile", str(site.folder / "fetchmail.pid"), "--idfile", str(site.folder / "fetchids"))
    run("fetchmail", "--fetchmailrc", rc, *files, "--silent", "--nosyslog", home=site.folder)
    return [each.read_bytes() for each in out.iterdir()]


def as_fetchmail_delivers(content: bytes) -> bytes:
    """A message as fetchmail hands it on: with a blank line behind its header, if it had none."""
    return unbroken(content if b"\r\n\r\n" in content else content + b"\r\n")


def unbroken(content: bytes) -> bytes:
    """The message without what fetchmail puts every 8 KiB into a line of a hundred thousand x: junk and a line end."""
    return re.sub(rb"(?<=x)[^x]{2}\r\n(?=x)", b"", content) if b"Subject: One long line" in content else content


@needs("fetchmail")
@pytest.mark.parametrize("how", ["apop", "stls", "pop3s"])
def test_fetchmail_fetches_everything(
    how: str, server: Server, site: Site, messages: Mapping[str, bytes], tmp_path: Path
) -> None:
    """What fetchmail delivers is each message as it is stored, save for what it changes by itself."""
    got = fetchmail(how, "keep", server, site, tmp_path)
    own = [each for each in got if each.startswith(b"From: FETCHMAIL-DAEMON")]
    assert len(own) == 1  # for the empty message, it writes something of its own
    want = [as_fetchmail_delivers(on_the_wire(each)) for each in messages.values() if each]
    assert sorted(unbroken(each) for each in got if each not in own) == sorted(want)
    assert stored(site.maildir()) == list(messages.values())


@needs("fetchmail")
@pytest.mark.parametrize("how", ["apop", "stls", "pop3s"])
def test_fetchmail_takes_everything_away(how: str, server: Server, site: Site, tmp_path: Path) -> None:
    """With nokeep, fetchmail has every message, and the Maildir none."""
    count = len(stored(site.maildir()))
    assert len(fetchmail(how, "nokeep", server, site, tmp_path)) == count
    server.wait_for("session", deleted=count)
    assert stored(site.maildir()) == []


# mpop


def mpop(how: str, keep: str, server: Server, site: Site, out: Path) -> list[bytes]:
    """Let mpop fetch once into a Maildir; returns what it delivered."""
    plain, tls = server.ports(2)
    settings = {
        "apop": ("auth apop", f"port {plain}", "tls off", f"password {APOP_SECRET}"),
        "stls": ("auth user", f"port {plain}", "tls on", "tls_starttls on", f"password {PASSWORD_SECRET}"),
        "pop3s": ("auth user", f"port {tls}", "tls on", "tls_starttls off", f"password {PASSWORD_SECRET}"),
    }[how]
    common = (
        "account default",
        "host localhost",
        f"user {USER}",
        f"keep {keep}",
        f"delivery maildir {make_maildir(out)}",
        "received_header off",
        f"uidls_file {site.folder / 'mpop.uidls'}",
        *([f"tls_trust_file {site.pem}"] if how != "apop" else []),
    )
    rc = private(site.folder / "mpoprc", "\n".join([*common, *settings]) + "\n")
    run("mpop", "--file", rc, "--quiet", home=site.folder)
    return stored(out)


@needs("mpop")
@pytest.mark.parametrize("how", ["apop", "stls", "pop3s"])
def test_mpop_fetches_everything(
    how: str, server: Server, site: Site, messages: Mapping[str, bytes], tmp_path: Path
) -> None:
    """mpop, which pipelines, stores each message as it is stored here, with LF for CRLF; a second time, none is new."""
    got = mpop(how, "on", server, site, tmp_path / "out")
    assert sorted(got) == sorted(on_the_wire(each).replace(b"\r\n", b"\n") for each in messages.values())
    assert mpop(how, "on", server, site, tmp_path / "again") == []
    assert stored(site.maildir()) == list(messages.values())


@needs("mpop")
@pytest.mark.parametrize("how", ["apop", "stls", "pop3s"])
def test_mpop_takes_everything_away(how: str, server: Server, site: Site, tmp_path: Path) -> None:
    """Without keep, mpop has every message, and the Maildir none."""
    count = len(stored(site.maildir()))
    assert len(mpop(how, "off", server, site, tmp_path / "out")) == count
    server.wait_for("session", deleted=count)
    assert stored(site.maildir()) == []


# openssl


@needs("openssl")
@pytest.mark.parametrize("how", ["stls", "pop3s"])
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_talks(how: str, version: str, server: Server, site: Site, messages: Mapping[str, bytes]) -> None:
    """Through openssl's s_client, with the certificate and the host name checked, a session works as by hand."""
    plain, tls = server.ports(2)
    where = (
        ["-connect", f"127.0.0.1:{tls}"] if how == "pop3s" else ["-starttls", "pop3", "-connect", f"127.0.0.1:{plain}"]
    )
    trust = ["-CAfile", str(site.pem), "-verify_return_error", "-verify_hostname", "localhost", "-alpn", "pop3"]
    said = f"USER {USER}\r\nPASS {PASSWORD_SECRET}\r\nRETR 3\r\nDELE 1\r\nQUIT\r\n".encode()
    got = run("openssl", "s_client", "-quiet", version, *trust, *where, home=site.folder, said=said)
    assert (
        b"+OK message follows\r\n" + on_the_wire(messages["crlf"]) + b".\r\n+OK deleted at QUIT\r\n+OK bye\r\n" in got
    )
    assert stored(site.maildir()) == list(messages.values())[1:]

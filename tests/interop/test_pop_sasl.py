"""Real mail programs, and a client of our own that binds to TLS, log in by SASL."""

from __future__ import annotations

import base64
import hmac
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import trustme
from cryptography import x509
from OpenSSL import SSL

from netguard.accounts.credentials import begin_chain
from netguard.wire import otp
from netguard.wire.scram_client import ScramClient
from tests.popsasl import ENTERED, REFUSED, Bound, give, line, nonce, plain, scram, vouched_for
from tests.popserver import (
    APOP_SECRET,
    PATIENCE,
    USER,
    Peer,
    Server,
    Site,
    environment,
    make_maildir,
    serving,
    stored,
    trusting,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "pass-Jd5hN9cB3yG6"  # without spaces, which some programs cannot be given
PHRASE = "a phrase for one-time passwords"
TOKEN = "token-of-alice"
HELLO = {"hello": b"Subject: hello\n\nhello\n"}
MESSAGE = b"Subject: hello\r\n\r\nhello\r\n"


def needs(program: str) -> pytest.MarkDecorator:
    """Skip where a program is absent."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """An operator's files; alice has every kind of credential, and a certificate."""
    site = Site.make(tmp_path_factory.mktemp("site"), HELLO)
    give(site.accounts, USER, PASSWORD, otp=begin_chain(PHRASE, 50).stored)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(site.folder / "ca.pem"))
    vouched_for(authority, site.folder / "alice.pem", x509.RFC822Name(USER))
    vouched_for(authority, site.folder / "mallory.pem", x509.RFC822Name("mallory"), x509.DNSName(USER))
    (site.folder / "tokens.py").write_text(
        f'async def whose(question):\n    return {{"{TOKEN}": "{USER}"}}.get(question.token)\n'
    )
    return site


@pytest.fixture(scope="module")
def server(site: Site) -> Iterator[Server]:
    """A server that takes every mechanism there is."""
    every = "scram-sha-256-plus,scram-sha-256,external,oauthbearer,otp,cram-md5,plain,login"
    options = ("--mechanisms", every, "--tls-ca", str(site.folder / "ca.pem"), "--token-check", "tokens.whose")
    with serving(*site.both_ports, *options, cwd=site.folder) as running:
        yield running


def logged(server: Server, before: int) -> str:
    """How the session behind so many others logged in."""
    return str(server.wait_for("session", before + 1)[before]["mechanism"])


SECRETS = {"oauthbearer": TOKEN, "cram-md5": APOP_SECRET}


# A client of our own


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION], ids=["1.2", "1.3"])
@pytest.mark.parametrize("starttls", [False, True], ids=["implicit", "stls"])
def test_a_login_is_bound_to_its_tls(server: Server, starttls: bool, version: int) -> None:
    """Through the ports as they are, by the exporter in TLS 1.3 and by the certificate in both."""
    port = server.ports(2)[not starttls]
    for number in range(2 if version == SSL.TLS1_3_VERSION else 1):
        with Bound(port, version, starttls=starttls) as peer:
            binding = (peer.end_point, peer.exporter)[number] if number else peer.end_point
            client = ScramClient(USER, PASSWORD.encode(), nonce(), binding=binding)
            assert scram(peer, client, "SCRAM-SHA-256-PLUS", initial=bool(number)) == ENTERED
            assert peer.ask(b"STAT") == b"+OK 1 25\r\n"
            assert peer.ask(b"QUIT") == b"+OK bye\r\n"


def test_a_certificate_is_enough(server: Server, site: Site) -> None:
    """One that is vouched for and names a user of ours; another one of the same authority is not."""
    port = server.ports(2)[1]
    with Bound(port, shown=site.folder / "alice.pem") as peer:
        peer.send(b"CAPA\r\n")
        capabilities = list(iter(peer.line, b".\r\n"))
        assert b" EXTERNAL " in next(each for each in capabilities if each.startswith(b"SASL"))
        assert peer.ask(b"AUTH EXTERNAL =") == ENTERED
    with Bound(port, SSL.TLS1_2_VERSION, shown=site.folder / "alice.pem") as peer:
        assert peer.ask(b"AUTH EXTERNAL " + line(USER.encode())) == ENTERED
    with Bound(port, shown=site.folder / "mallory.pem") as peer:
        assert peer.ask(b"AUTH EXTERNAL " + line(USER.encode())) == REFUSED
        assert peer.ask(b"AUTH EXTERNAL =") == REFUSED


def test_one_time_passwords_by_sasl(server: Server) -> None:
    """The server says which; six words and hexadecimal are the same; one that was used is none."""
    port = server.ports(2)[0]
    for write, how in ((otp.to_words, "word"), (otp.to_hex, "hex")):
        with Peer(port) as peer:
            asked = base64.b64decode(peer.ask(b"AUTH OTP " + line(f"\0{USER}".encode()))[2:]).decode()
            found = re.fullmatch(r"otp-(\S+) (\d+) (\S+) ext", asked)
            assert found is not None
            said = line(f"{how}:{write(otp.generate(found[1], PHRASE.encode(), found[3], int(found[2])))}".encode())
            assert peer.ask(said) == ENTERED
        with Peer(port) as peer:
            peer.ask(b"AUTH OTP " + line(f"\0{USER}".encode()))
            assert peer.ask(said) == REFUSED


def test_cram_md5_by_hand(server: Server) -> None:
    """With the secret of APOP."""
    with Peer(server.ports(2)[0]) as peer:
        challenge = base64.b64decode(peer.ask(b"AUTH CRAM-MD5")[2:])
        digest = hmac.digest(APOP_SECRET.encode(), challenge, "md5").hex()
        assert peer.ask(line(f"{USER} {digest}".encode())) == ENTERED


# curl


CURL = {
    "plain": ("--login-options", "AUTH=PLAIN"),
    "plain, initial": ("--login-options", "AUTH=PLAIN", "--sasl-ir"),
    "login": ("--login-options", "AUTH=LOGIN"),
    "oauthbearer": ("--login-options", "AUTH=OAUTHBEARER", "--oauth2-bearer", TOKEN),
    "external": ("--login-options", "AUTH=EXTERNAL", "--cert", "alice.pem"),
    "cram-md5": ("--login-options", "AUTH=CRAM-MD5"),
}


@needs("curl")
@pytest.mark.parametrize("how", CURL)
@pytest.mark.parametrize("implicit", [True, False], ids=["pop3s", "stls"])
def test_curl_logs_in(server: Server, site: Site, how: str, implicit: bool) -> None:
    """By each mechanism that it has, with an initial response and without."""
    before = len(server.events("session"))
    ports = server.ports(2)
    url = f"pop3s://localhost:{ports[1]}/1" if implicit else f"pop3://localhost:{ports[0]}/1"
    password = APOP_SECRET if how == "cram-md5" else PASSWORD
    user = f"{USER}:" if how == "external" else USER if how == "oauthbearer" else f"{USER}:{password}"
    options = ("--ssl-reqd", "--cacert", str(site.pem), "--max-time", str(PATIENCE), "--user", user)
    ended = subprocess.run(
        ["curl", "--silent", "--show-error", *options, *CURL[how], url],
        cwd=site.folder,
        env=environment() | {"HOME": str(site.folder)},
        capture_output=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert (ended.stdout, ended.stderr) == (MESSAGE, b"")
    assert logged(server, before) == how.partition(",")[0]


# mpop, whose SASL is GNU's


MPOP = {
    "scram-sha-256": (),
    "plain": (),
    "login": (),
    "cram-md5": (),
    "external": ("tls_cert_file alice.pem", "tls_key_file alice.pem"),
    "oauthbearer": (),
}


@needs("mpop")
@pytest.mark.parametrize("how", MPOP)
def test_mpop_logs_in(server: Server, site: Site, how: str, tmp_path: Path) -> None:
    """By each mechanism that it has in common with us."""
    before = len(server.events("session"))
    settings = (
        *("account default", "host localhost", f"port {server.ports(2)[1]}", f"user {USER}", "tls on"),
        *("tls_starttls off", f"tls_trust_file {site.pem}", "keep on", f"auth {how}", "received_header off"),
        f"password {SECRETS.get(how, PASSWORD)}",
        *(f"delivery maildir {make_maildir(tmp_path / 'out')}", f"uidls_file {tmp_path / 'uidls'}"),
        *(each.replace("alice.pem", str(site.folder / "alice.pem")) for each in MPOP[how]),
    )
    rc = tmp_path / "mpoprc"
    rc.touch(0o600)
    rc.write_text("\n".join(settings) + "\n")
    ended = subprocess.run(
        ["mpop", "--file", str(rc), "--quiet"],
        env=environment() | {"HOME": str(tmp_path)},
        capture_output=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert stored(tmp_path / "out") == list(HELLO.values())
    assert logged(server, before) == how


# fetchmail


@needs("fetchmail")
@pytest.mark.parametrize(("auth", "how"), [("cram-md5", "cram-md5"), ("password", "password"), ("any", "cram-md5")])
def test_fetchmail_logs_in(server: Server, site: Site, auth: str, how: str, tmp_path: Path) -> None:
    """It has CRAM-MD5 of ours, and takes it where nothing else is wanted; else it is content with USER and PASS."""
    before = len(server.events("session"))
    rc = tmp_path / "fetchmailrc"
    rc.touch(0o600)
    rc.write_text(
        f"""set invisible
            poll localhost protocol pop3 port {server.ports(2)[1]} auth {auth} no dns uidl
            user "{USER}" password "{PASSWORD if how == "password" else APOP_SECRET}" is "root" here
            ssl sslcertck sslcertfile {site.pem} sslcommonname localhost keep fetchall
            no rewrite no stripcr mda "cat > {tmp_path}/got"
        """
    )
    files = ("--pidfile", str(tmp_path / "pid"), "--idfile", str(tmp_path / "ids"))
    ended = subprocess.run(
        ["fetchmail", "--fetchmailrc", str(rc), *files, "--silent", "--nosyslog"],
        env=environment() | {"HOME": str(tmp_path), "FETCHMAILHOME": str(tmp_path)},
        capture_output=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    assert (tmp_path / "got").read_bytes() == MESSAGE
    assert logged(server, before) == how


def test_plain_by_hand(server: Server, site: Site) -> None:
    """With a password, which the same verifier serves as SCRAM's."""
    with Peer(server.ports(2)[1], trusting(site.pem)) as peer:
        assert peer.ask(plain(USER, PASSWORD)) == ENTERED

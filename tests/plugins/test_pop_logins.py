"""The options of logins: what they mean, each mistake's one line, and accounts that other plugins know."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from twisted.python import usage

from netguard.accounts.checks import StoredAccounts
from netguard.accounts.cred import ForeignAccounts
from netguard.plugins.pop import Options
from netguard.process.tls import verified_certificate
from netguard.wire import mechanisms
from tests.popsasl import ENTERED, REFUSED, plain
from tests.popserver import PASSWORD_SECRET, USER, Peer, Site, make_maildir, serving, trusting

if TYPE_CHECKING:
    from pathlib import Path


def parsed(*words: str, accounts: bool = True) -> Options:
    """Options that name a maildir, and these."""
    options = Options()
    options.parseOptions(["--maildir", "/mail/{user}", *(["--accounts", "/a"] if accounts else []), *words])
    return options


def test_what_holds_by_default() -> None:
    """Everything that is safe, and no rule that was not asked for."""
    options = parsed()
    terms = options.terms
    assert terms.mechanisms == mechanisms.DEFAULT
    assert (terms.certificate_names, terms.certificate_of) == ("email", verified_certificate)
    assert (terms.login_delay, terms.expire, options.whose_token) == (None, None, None)
    assert isinstance(options.who_may(), StoredAccounts)
    assert "OAUTHBEARER" not in options.who_may().mechanisms


def test_what_is_asked_for() -> None:
    """In any case, in any order; a function by its dotted name."""
    words = ("--certificate-names", "dns", "--login-delay", "1m", "--expire", "30")
    options = parsed("--mechanisms", "login, Plain,cram-md5", "--token-check", "posixpath.join", *words)
    terms = options.terms
    assert terms.mechanisms == ("LOGIN", "PLAIN", "CRAM-MD5")
    assert (terms.certificate_names, terms.login_delay, terms.expire) == ("dns", 60, 30)
    assert "OAUTHBEARER" in options.who_may().mechanisms
    assert parsed("--mechanisms", "none", "--expire", "never").terms.mechanisms == ()
    assert parsed("--expire", "never").terms.expire == math.inf


MISTAKES: dict[str, tuple[str, str]] = {
    "mechanism": ("--mechanisms plain,scram-sha256", "'SCRAM-SHA256' is none; did you mean SCRAM-SHA-256?"),
    "no mechanism like it": ("--mechanisms xyz", "'XYZ' is none; there are SCRAM-SHA-256-PLUS, "),
    "kind of name": ("--certificate-names cn", "--certificate-names 'cn' is none of email, dns, uri"),
    "no such function": ("--token-check nix.da", "--token-check nix.da: ObjectNotFound: "),
    "no function": ("--token-check os.sep", "--token-check os.sep: it is no function"),
    "no time": ("--login-delay soon", "--login-delay 'soon' is not a duration such as 30s"),
    "no number of days": ("--expire soon", "--expire 'soon' is not a number of days such as 30, or never"),
    "accounts twice": ("--auth memory:a:b", "--accounts and --auth say both who may log in"),
    "no such checker": ("--auth nix:secret", "--auth nix: there is no such checker; see --help-auth"),
    "a checker of no passwords": ("--auth anonymous", "--auth anonymous: it checks no passwords"),
    "a checker that fails": ("--auth file:", "--auth file: 'file' requires a filename"),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line(mistake: tuple[str, str]) -> None:
    """It says what is wrong, and no secret that stands on the command line."""
    words, line = mistake
    with pytest.raises(usage.UsageError) as told:
        parsed(*words.split())
    assert line in str(told.value)
    assert "\n" not in str(told.value)
    assert ":secret" not in str(told.value)


def test_a_demonstration_brings_its_own_accounts() -> None:
    """So a checker cannot come with it."""
    options = Options()
    with pytest.raises(usage.UsageError, match="--demo brings its own --auth"):
        options.parseOptions(["--auth", "memory:a:b", "--demo"])


def test_checkers_of_other_plugins() -> None:
    """Several, and ours is one of them; without one, and without accounts, nobody could log in."""
    options = parsed("--auth", "memory:a:b", "--auth", "memory:c:d", accounts=False)
    found: Any = options.who_may()
    assert isinstance(found, ForeignAccounts)
    assert len(options.checkers) == 2
    assert set(found.mechanisms) == {"CRAM-MD5", "PLAIN", "LOGIN"}
    with pytest.raises(usage.UsageError, match="--accounts is missing"):
        parsed(accounts=False)


def test_who_is_known_to_checkers_gets_mail(tmp_path: Path) -> None:
    """By whatever they can check, with the answers and under the rules of accounts of our own."""
    site = Site.make(tmp_path, {"hello": b"Subject: hello\n\nhello\n"})
    make_maildir(site.maildir("bob"))
    (tmp_path / "passwd").write_text("bob:builder\n")
    checkers = ("--auth", f"netguard:{site.accounts}", "--auth", f"file:{tmp_path / 'passwd'}")
    ports = ("--listen", "tcp:0:interface=127.0.0.1", "--listen", "tls:0:interface=127.0.0.1")
    mail = ("--maildir", str(tmp_path / "mail" / "{user}"), "--tls", str(site.pem))
    with serving(*mail, *checkers, "--mechanisms", "plain,cram-md5", *ports, cwd=tmp_path) as server:
        clear, tls = server.ports(2)
        with Peer(tls, trusting(site.pem)) as peer:
            assert peer.ask(plain(USER, "builder")) == REFUSED
            assert peer.ask(plain(USER, PASSWORD_SECRET)) == ENTERED
            assert peer.ask(b"STAT") == b"+OK 1 25\r\n"
        with Peer(tls, trusting(site.pem)) as peer:
            assert peer.ask(plain("bob", "builder")) == ENTERED
            assert peer.ask(b"QUIT") == b"+OK bye\r\n"
        with Peer(clear) as peer:
            peer.send(b"AUTH\r\n")
            assert [peer.line() for _ in range(3)] == [b"+OK mechanisms follow\r\n", b"CRAM-MD5\r\n", b".\r\n"]
            assert peer.apop("bob", "builder") == ENTERED


def test_what_can_be_chosen_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those checkers that could be asked for passwords."""
    options = Options()
    shown: list[str] = []

    class Output:
        write = shown.append

    monkeypatch.setattr(Options, "authOutput", Output())
    with pytest.raises(SystemExit):
        options.parseOptions(["--help-auth"])
    text = "".join(shown)
    assert "netguard" in text
    assert "anonymous" not in text

"""``twistd netguard-pop``: a POP3 server for Maildirs, under guards."""

from __future__ import annotations

import os
import pwd
import re
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import DeferredList, maybeDeferred
from twisted.python import usage

from netguard.accounts.interface import AccountsTrouble
from netguard.accounts.store import Store
from netguard.plugins.listening import ListeningService
from netguard.plugins.pop_demo import LOOPBACK, Demo
from netguard.plugins.pop_logins import LoginOptions
from netguard.plugins.service_options import ServiceOptions
from netguard.pop3.factory import Pop3Factory
from netguard.pop3.mailbox_path import PLACEHOLDER
from netguard.pop3.maildrop import MaildirOpener
from netguard.process.threads import let_threads_wait
from netguard.process.tls import server_tls

PLAIN, IMPLICIT = "tcp:pop3", "tls:pop3s"
_Service: Any = MultiService  # it is not annotated


class Options(LoginOptions, ServiceOptions):
    """The command line of netguard-pop."""

    synopsis = (
        "--maildir 'DIR/{user}' --accounts FILE [--tls PEM]... [--listen ENDPOINT]... [guard options] | --demo [DIR]"
    )
    surface = "pop"
    about = r"""
A POP3 server for Maildirs. No password travels in clear: logins are by SASL (SCRAM, and more inside TLS), by APOP,
and by USER and PASS inside TLS only. Every connection is guarded.

  netguard users -a accounts.sqlite add alice --generate
  twistd -n netguard-pop --maildir '/var/mail/{user}' \
      --accounts accounts.sqlite --tls server.pem
  twistd -n netguard-pop --demo
"""
    optParameters = [  # noqa: RUF012 - twisted.python.usage gathers these lists from the classes
        ["maildir", None, None, "the users' Maildirs, as in '/var/mail/{user}' or '~/Maildir' (one user)"],
        ["hostname", None, None, "the name of this server in its greeting (default: this machine's)"],
        ["uidl", None, "native", "whose unique-ids mail keeps that was known to them: native, dovecot or courier"],
        [
            "tls-ca",
            None,
            None,
            "a PEM file with those who vouch for clients' certificates: clients are asked for one, and may have none",
        ],
    ]
    optFlags = [["demo", None, "try it: make mail, an account and a certificate in DIR, and serve them on loopback"]]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.demo: Demo | None = None

    def opt_listen(self, description: str) -> None:
        """Listen here, several times if wanted (default: tcp:pop3, and with --tls also tls:pop3s).

        An endpoint, in which a port may be a service name; tls:PORT is TLS from the first byte, with --tls.
        """
        super().opt_listen(description)

    def opt_tls(self, path: str) -> None:
        """A PEM file with key, certificate and chain: for STLS, and for --listen tls:PORT.

        Where they are two files, give it twice: first that of the certificates, then that of the key. Give it
        again for other certificates: a client that asks for a name gets the one that has it, any other the first.
        """
        super().opt_tls(path)

    def parseArgs(self, directory: str | None = None, *more: str) -> None:
        """Take the directory of a demonstration; what stands behind it is no option for Twisted's parser."""
        self["directory"] = directory
        if more:
            raise usage.UsageError(f"{more[0]!r} is one word too many; options stand before the directory of --demo")

    def prepare(self) -> None:
        """Check what was given, as far as no reactor is needed."""
        if self["directory"] is not None and not self["demo"]:
            raise usage.UsageError(f"{self['directory']!r} is one word too many; a directory stands only behind --demo")
        if self["demo"]:
            self._prepare_demo()
        if self["maildir"] is None:
            raise usage.UsageError("--maildir is missing; try --demo to see how it works")
        self.check_logins()
        if self["tls-ca"] is not None and not self.tls:
            raise usage.UsageError("--tls-ca asks clients for certificates inside TLS, which needs one here: --tls PEM")

    def usual(self) -> list[str]:
        """The ports of POP3, as the services of this machine have them."""
        return [PLAIN, IMPLICIT] if self.tls else [PLAIN]

    def _prepare_demo(self) -> None:
        given = {option: self[option] for option in ("maildir", "accounts", "tls-ca")} | {"auth": self.checkers}
        given |= {"tls": self.tls, "listen": self.listens}
        for option, value in given.items():
            if value:
                raise usage.UsageError(f"--demo brings its own --{option}; leave that out")
        if self.parent is not None and not (self.parent["nodaemon"] or self.parent["debug"]):
            raise usage.UsageError("--demo shows on the terminal what to try: twistd -n netguard-pop --demo")
        self.reloads = False  # a terminal that is closed ends a demonstration
        self.demo = Demo(Path(self["directory"] or "netguard-demo").absolute())
        try:
            self.demo.prepare()
        except (OSError, ValueError, AccountsTrouble) as why:
            raise usage.UsageError(f"--demo: {why}") from None
        self["maildir"], self["accounts"] = self.demo.maildir, self.demo.accounts
        self.tls = [str(self.demo.certificate)]
        self.listens = [f"tcp:0:interface={LOOPBACK}", f"tls:0:interface={LOOPBACK}"]


def makeService(options: Options) -> Any:
    """The service, listening nowhere yet.

    Args:
        options: the parsed command line.

    Raises:
        SystemExit: with one line, when something that was named cannot be used.
    """
    return options.made(lambda reactor: PopService(options, reactor), AccountsTrouble)


class PopService(_Service):  # type: ignore[misc]
    """The server: its accounts, and its ports under one policy.

    Args:
        options: the parsed command line.
        reactor: the reactor.

    Attributes:
        house: what its ports have in common.

    Raises:
        ValueError: an option cannot be honoured.
        AccountsTrouble: the accounts file cannot be used.
    """

    def __init__(self, options: Options, reactor: Any) -> None:
        super().__init__()
        self._demo = options.demo
        self._reactor = reactor
        let_threads_wait(reactor)
        self._accounts = options.who_may()
        with _as_later(options.parent or {}):
            self._accounts.verify()
            single = _is_single(options)
            opener = MaildirOpener(options["maildir"], single=single, uidl=options["uidl"])
            _look_for_mail(options["maildir"], single=single)
        tls = server_tls(*options.tls, alpn=(b"pop3",), client_ca=options["tls-ca"]) if options.tls else None
        self._factory = Pop3Factory(
            self._accounts,
            opener,
            reactor=reactor,
            tls=tls,
            hostname=options["hostname"] or _hostname(),
            terms=options.terms,
        )
        self.house = options.listen(self, lambda: self._factory, reactor, tls)
        options.looks.append(self._accounts.verify)

    def startService(self) -> None:
        """Begin to serve; a demonstration shows what to try once it listens, and Ctrl-C would be heard."""
        super().startService()
        if self._demo is not None:
            listening = DeferredList([each.listening for each in self if isinstance(each, ListeningService)])
            self._reactor.callWhenRunning(listening.addCallback, self._show, self._demo)

    def _show(self, listening: list[tuple[bool, Any]], demo: Demo) -> None:
        plain, tls = (port.getHost().port for _, port in listening)
        # twistd has put its log in the place of sys.stdout; what is to be pasted should not look like a log.
        terminal = sys.__stdout__ or sys.stdout
        terminal.write("\n" + demo.show({"plain": plain, "tls": tls}) + "\n")
        terminal.flush()

    def stopService(self) -> Any:
        """Stop to listen; once nobody is removing messages any more, close the accounts."""
        stopping = DeferredList([maybeDeferred(super().stopService), self._factory.when_settled()])
        return stopping.addCallback(lambda _: self._accounts.close())


@contextmanager
def _as_later(twistd: Mapping[str, Any]) -> Iterator[None]:
    """Look at files as the user that twistd will become (--uid), since that one has to use them."""
    uid, gid = twistd.get("uid"), twistd.get("gid")
    if uid is None:
        yield
        return
    before = os.geteuid(), os.getegid()
    try:
        os.setegid(pwd.getpwuid(uid).pw_gid if gid is None else gid)
        os.seteuid(uid)
    except (OSError, KeyError) as why:
        raise ValueError(f"twistd --uid {uid}: {getattr(why, 'strerror', 'there is no such user')}") from None
    try:
        yield
    finally:
        os.seteuid(before[0])
        os.setegid(before[1])


def _is_single(options: Options) -> bool:
    """Whether one mailbox without a user's name in its path is what the operator meant."""
    if PLACEHOLDER in options["maildir"]:
        return False
    users = "all"
    if not options.checkers:
        with closing(Store(options["accounts"])) as store:
            users = str(len(store.users()))
    if users not in ("0", "1"):
        raise ValueError(
            f"--maildir {options['maildir']}: {users} users would share one mailbox; put {PLACEHOLDER} in the path"
        )
    return True


def _look_for_mail(template: str, *, single: bool) -> None:
    """A mistyped path shall show now, and not as trouble at each login."""
    before = os.path.expanduser(template).partition(PLACEHOLDER)[0]  # noqa: PTH111 - a template is no path yet
    folder = Path(before) / "cur" if single else Path(before + "x").parent
    if not folder.is_dir():
        raise ValueError(f"--maildir {template}: there is no directory {folder}")


def _hostname() -> str:
    name = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())
    return name or "localhost"

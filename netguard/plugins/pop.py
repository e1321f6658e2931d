"""``twistd netguard-pop``: a POP3 server for Maildirs, under guards."""

from __future__ import annotations

import re
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

from twisted.application.service import MultiService
from twisted.internet.defer import DeferredList
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python import usage

from netguard.accounts.checks import StoredAccounts
from netguard.accounts.interface import AccountsTrouble
from netguard.accounts.store import Store
from netguard.endpoints import server_endpoint
from netguard.guarded_endpoints import Together
from netguard.plugins.guard_options import GuardOptions
from netguard.plugins.listening import CannotServeError, ListeningService
from netguard.plugins.pop_demo import LOOPBACK, Demo
from netguard.pop3.factory import Pop3Factory
from netguard.pop3.maildrop import MaildirOpener
from netguard.process.tls import ServerTLS, server_tls

PLAIN, IMPLICIT = "tcp:pop3", "tls:pop3s"
_TLS = "tls:"
_Service: Any = MultiService  # it is not annotated


class Options(GuardOptions):
    """The command line of netguard-pop."""

    synopsis = (
        "--maildir 'DIR/{user}' --accounts FILE [--tls PEM] [--listen ENDPOINT]... [guard options] | --demo [DIR]"
    )
    surface = "pop"
    about = """
A POP3 server for Maildirs. Logins are by APOP, and by USER and PASS inside TLS only; every connection is guarded.

  netguard users -a accounts.sqlite add alice --generate
  twistd -n netguard-pop --maildir '/var/mail/{user}' --accounts accounts.sqlite --tls server.pem
  twistd -n netguard-pop --demo
"""
    optParameters = [  # noqa: RUF012 - twisted.python.usage gathers these lists from the classes
        ["maildir", None, None, "the users' Maildirs, as in '/var/mail/{user}' or '~/Maildir' (one user)"],
        ["accounts", None, None, "the accounts file that 'netguard users' makes"],
        ["tls", None, None, "a PEM file with key, certificate and chain: for STLS, and for --listen tls:PORT"],
        ["hostname", None, None, "the name of this server in its greeting (default: this machine's)"],
    ]
    optFlags = [["demo", None, "try it: make mail, an account and a certificate in DIR, and serve them on loopback"]]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.listens: list[str] = []
        self.demo: Demo | None = None

    def opt_listen(self, description: str) -> None:
        """Listen here, several times if wanted (default: tcp:pop3, and with --tls also tls:pop3s).

        An endpoint, in which a port may be a service name; tls:PORT is TLS from the first byte, with --tls.
        """
        self.listens.append(description)

    def parseArgs(self, directory: str | None = None) -> None:
        """Take the directory of a demonstration."""
        self["directory"] = directory

    def postOptions(self) -> None:
        """Check what was given, as far as no reactor is needed."""
        super().postOptions()
        if self["directory"] is not None and not self["demo"]:
            raise usage.UsageError(f"{self['directory']!r} is one word too many; a directory stands only behind --demo")
        if self["demo"]:
            self._prepare_demo()
        for needed in ("maildir", "accounts"):
            if self[needed] is None:
                raise usage.UsageError(f"--{needed} is missing; try --demo to see how it works")
        if not self.listens:
            self.listens = [PLAIN, IMPLICIT] if self["tls"] else [PLAIN]

    def _prepare_demo(self) -> None:
        for other in ("maildir", "accounts", "tls"):
            if self[other] is not None:
                raise usage.UsageError(f"--demo brings its own {other}; leave out --{other}")
        self.demo = Demo(Path(self["directory"] or "netguard-demo").absolute())
        try:
            self.demo.prepare()
        except (OSError, ValueError) as why:
            raise usage.UsageError(f"--demo: {why}") from None
        self["maildir"], self["accounts"], self["tls"] = self.demo.maildir, self.demo.accounts, self.demo.certificate
        if not self.listens:
            self.listens = [f"tcp:0:interface={LOOPBACK}", f"tls:0:interface={LOOPBACK}"]


def makeService(options: Options) -> Any:
    """The service, listening nowhere yet.

    Args:
        options: the parsed command line.

    Raises:
        SystemExit: with one line, when something that was named cannot be used.
    """
    from twisted.internet import reactor

    try:
        service = PopService(options, reactor)
    except (ValueError, AccountsTrouble) as why:
        options.fail(why)
    return options.bring_log(service)


class PopService(_Service):  # type: ignore[misc]
    """The server: its accounts, and its ports under one policy.

    Args:
        options: the parsed command line.
        reactor: the reactor.

    Raises:
        ValueError: an option cannot be honoured.
        AccountsTrouble: the accounts file cannot be used.
    """

    def __init__(self, options: Options, reactor: Any) -> None:
        super().__init__()
        self._options = options
        self._accounts = StoredAccounts(options["accounts"])
        self._accounts.verify()
        tls = None if options["tls"] is None else server_tls(options["tls"], alpn=(b"pop3",))
        factory = Pop3Factory(
            self._accounts,
            MaildirOpener(options["maildir"], single=_is_single(options)),
            reactor=reactor,
            tls=tls,
            hostname=options["hostname"] or _hostname(),
        )
        together = Together(options.policy, reactor)
        for description in options.listens:
            self._listen(description, together.wrap(factory), tls, reactor)

    def _listen(self, description: str, guarded: Any, tls: ServerTLS | None, reactor: Any) -> None:
        where, factory = description, guarded
        if description.startswith(_TLS):
            if tls is None:
                raise ValueError(f"--listen {description} needs a certificate: --tls PEM")
            where = "tcp:" + description.removeprefix(_TLS)
            factory = TLSMemoryBIOFactory(tls, isClient=False, wrappedFactory=guarded)
        service = ListeningService(server_endpoint(reactor, where), factory, description, self._end)
        service.setServiceParent(self)

    def _end(self, why: str) -> NoReturn:
        """A daemon tells its parent by an exception; in the foreground, one line is enough."""
        if self._options.parent is None or not self._options.parent["nodaemon"]:
            raise CannotServeError(why)
        self._options.fail(why)

    def startService(self) -> None:
        """Begin to serve; a demonstration shows what to try once it listens."""
        super().startService()
        if self._options.demo is not None:
            DeferredList([each.listening for each in self]).addCallback(self._show, self._options.demo)

    def _show(self, listening: list[tuple[bool, Any]], demo: Demo) -> None:
        plain, tls = (port.getHost().port for _, port in listening)
        # twistd has put its log in the place of sys.stdout; what is to be pasted should not look like a log.
        terminal = sys.__stdout__ or sys.stdout
        terminal.write("\n" + demo.show({"plain": plain, "tls": tls}) + "\n")
        terminal.flush()

    def stopService(self) -> Any:
        """Stop to listen, and close the accounts."""
        stopping = super().stopService()
        self._accounts.close()
        return stopping


def _is_single(options: Options) -> bool:
    """Whether one mailbox without a user's name in its path is what the operator meant."""
    if "{user}" in options["maildir"]:
        return False
    store = Store(options["accounts"])
    users = len(store.users())
    store.close()
    if users > 1:
        raise ValueError(
            f"--maildir {options['maildir']}: {users} users would share one mailbox; put {{user}} in the path"
        )
    return True


def _hostname() -> str:
    name = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())
    return name or "localhost"

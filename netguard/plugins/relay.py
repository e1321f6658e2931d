"""``twistd netguard-relay``: guards in front of any TCP server."""

from __future__ import annotations

import re
import resource
from collections import Counter
from collections.abc import Iterator
from math import inf
from typing import Any

from twisted.application.service import MultiService
from twisted.python import usage

from netguard import units
from netguard.endpoint_strings import Description
from netguard.endpoints import client_endpoint
from netguard.errors import OptionError, UnknownOption
from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.transport import STOCK, Transport
from netguard.guards.write_stall import WriteStall
from netguard.native.client import prompt
from netguard.options import is_off
from netguard.plugins.service_options import ServiceOptions
from netguard.policy import Policy
from netguard.process.tls import server_tls
from netguard.relay.attempt import WITHIN
from netguard.relay.front import RelayFactory
from netguard.relay.pool import BALANCES, FALL, RISE, Backend, Pool
from netguard.relay.preface import VERSIONS, prefaced
from netguard.relay.service import Relay

_Service: Any = MultiService  # it is not annotated
_OTHER_FILES = 124
"""Open files besides those of connections, amply."""
_UNVERIFIED = "ssl"
_WITHIN = f"how long a backend may take to take a connection, its TLS handshake included (default: {WITHIN:g}s)"
_CHOICES = {"balance": tuple(BALANCES), "send-proxy": VERSIONS}
_UNITS = {"check": units.duration, "connect-within": units.duration, "rise": units.count, "fall": units.count}


class Options(ServiceOptions):
    """The command line of netguard-relay."""

    synopsis = "--listen ENDPOINT [--listen ENDPOINT]... --to ENDPOINT[,ENDPOINT...] [options]"
    surface = "guard"
    about = r"""
Stands in front of a TCP server in any language: every connection is guarded, and what passes is passed on to a
backend, byte for byte, both ways.

  twistd -n netguard-relay --listen tcp:8080 --to tcp:127.0.0.1:80 --idle 30s
  twistd -n netguard-relay --listen tcp:6379 --check 5s \
      --to tcp:10.0.0.5:6379,tcp:10.0.0.6:6379
  twistd -n netguard-relay --listen tls:993 --tls server.pem \
      --to tls:mail.example:993 --send-proxy v2
"""
    optParameters = [  # noqa: RUF012 - twisted.python.usage gathers these lists from the classes
        ["balance", None, "round-robin", f"which backend is next, of several: {' (default) or '.join(BALANCES)}"],
        ["check", None, "off", "look so often whether each backend takes connections, as in 5s (default: off)"],
        [
            "fall",
            None,
            str(FALL),
            f"failed checks in a row, after which a backend gets no new connections (default: {FALL})",
        ],
        ["rise", None, str(RISE), f"passed checks in a row that bring it back (default: {RISE})"],
        ["connect-within", None, f"{WITHIN:g}s", _WITHIN],
        ["send-proxy", None, None, f"tell backends the client by the PROXY protocol: {' or '.join(VERSIONS)}"],
        ["alpn", None, "", "the protocols to choose from inside our TLS, the best first, as in h2,http/1.1"],
    ]

    def __init__(self) -> None:
        super().__init__()
        self.tos: list[str] = []

    def opt_to(self, descriptions: str) -> None:
        r"""The backends, as client endpoints, with commas or several times: tcp:HOST:PORT, unix:PATH, and so on.

        tls:HOST:PORT is TLS, with the backend's certificate verified for HOST; socks:HOST:PORT:proxy=... goes through
        a proxy. A comma that is part of one is written with a backslash before it.
        """
        self.tos += [each.replace(r"\,", ",").strip() for each in re.split(r"(?<!\\),", descriptions)]

    def parseArgs(self, *words: str) -> None:
        """Every word belongs to an option."""
        if words:
            raise usage.UsageError(f"{words[0]!r} is one word too many; backends are named by --to")

    def prepare(self) -> None:
        """Check what was given, as far as no reactor is needed."""
        if not self.tos:
            raise usage.UsageError("--to is missing: where to pass them on, as in --to tcp:127.0.0.1:80")
        for name, known in _CHOICES.items():
            if self[name] is not None and self[name] not in known:
                raise usage.UsageError(f"--{name}: {UnknownOption(self[name], known, 'word')}: {' or '.join(known)}")
        for name, unit in _UNITS.items():
            self[name] = None if name == "check" and is_off(self[name]) else self._of(name, unit)

    def _of(self, name: str, unit: units.Unit) -> Any:
        try:
            value = unit(self[name])
        except ValueError as why:
            raise usage.UsageError(f"--{name}: {why}") from None
        if not value:
            raise usage.UsageError(f"--{name}: {self[name]!r} is too little")
        return value


def makeService(options: Options) -> Any:
    """The service, listening nowhere yet.

    Args:
        options: the parsed command line.

    Raises:
        SystemExit: with one line, when something that was named cannot be used.
    """
    return options.made(lambda reactor: RelayService(options, reactor))


class RelayService(_Service):  # type: ignore[misc]
    """The relay: its backends, and its ports under one policy.

    Args:
        options: the parsed command line.
        reactor: the reactor.

    Attributes:
        house: what its ports have in common.
        relay: the backends.

    Raises:
        ValueError: an option cannot be honoured.
    """

    def __init__(self, options: Options, reactor: Any) -> None:
        super().__init__()
        for policy in (options.policy, *map(options.policy_of, options.listens)):
            _have_files_for(policy)
        backends = list(_backends(reactor, options))
        self.relay = Relay(
            Pool(backends, options["balance"], options["rise"], options["fall"]),
            reactor,
            within=options["connect-within"],
            stall=next((each.after for each in options.policy.guards if isinstance(each, WriteStall)), inf),
            send_proxy=options["send-proxy"],
            check=options["check"],
        )
        self.relay.setServiceParent(self)
        alpn = tuple(each.strip().encode() for each in options["alpn"].split(",") if each.strip())
        tls = server_tls(*options.tls, alpn=alpn) if options.tls else None
        self.house = options.listen(self, lambda: RelayFactory(self.relay), reactor, tls)


def _have_files_for(policy: Policy) -> None:
    """Each connection needs two open files; the usual limit is meant for one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = next((each.total for each in policy.guards if isinstance(each, ConnectionLimit)), None)
    needed = _OTHER_FILES + 2 * most if isinstance(most, int) else hard
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise ValueError(
            f"--max-connections {most} needs {needed} open files, and this process may have {hard}:"
            " raise that (ulimit -n, or LimitNOFILE= of systemd), or lower it"
        )
    if soft != resource.RLIM_INFINITY and (needed == resource.RLIM_INFINITY or soft < needed):
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _backends(reactor: Any, options: Options) -> Iterator[Backend]:
    """The backends, each with a name of its own."""
    native = not any(isinstance(each, Transport) and each.kind == STOCK for each in options.policy.guards)
    seen: Counter[str] = Counter()
    for text in options.tos:
        try:
            given = Description.parse(text)
            endpoint = prompt(client_endpoint(reactor, text)) if native else client_endpoint(reactor, text)
        except OptionError as why:
            raise ValueError(f"--to: {why}") from None
        if given.type == _UNVERIFIED:
            raise ValueError(f"--to: endpoint {given.shown}: ssl: verifies nobody; write tls:HOST:PORT")
        name = _name(given)
        seen[name] += 1
        number = f"#{seen[name]}" if seen[name] > 1 else ""
        yield Backend(name + number, prefaced(endpoint) if options["send-proxy"] else endpoint)


def _name(given: Description) -> str:
    """What a backend is called in the log: its words, and of its keywords those that say where it is."""
    where = [given.keywords[key] for key in ("host", "path", "port") if key in given.keywords]
    return ":".join([*given.words, *where])

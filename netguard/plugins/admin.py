"""``--admin``: figures, health and a status page over HTTP, for whatever the service serves.

What answers is imported only when it is asked for: most starts need no web server.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.reflect import namedAny
from twisted.python.usage import UsageError

from netguard.admin.about import About
from netguard.admin.access import Access
from netguard.admin.place import Place
from netguard.clients.secret_file import read_secret
from netguard.endpoints import server_endpoint
from netguard.errors import OptionError
from netguard.options import is_off, options_of
from netguard.plugins.concerns import Given, join
from netguard.plugins.listening import ListeningService
from netguard.process.tls import ServerTLS, TLSTrouble, server_tls
from netguard.secret import Secret

if TYPE_CHECKING:
    from netguard.service import Service as House

PARAMETERS: list[list[Any]] = [
    ["admin", None, None, "figures, health and a status page by HTTP, as in tcp:9113 (on loopback) or unix:PATH"],
    ["admin-token", None, None, "a file, mode 600, with the token that has to be shown for --admin"],
    ["admin-tls", None, None, "a PEM file with key, certificate and chain for --admin tls:PORT"],
    ["admin-tls-ca", None, None, "a PEM file with those who vouch for clients of --admin, who need a certificate then"],
    ["admin-host", None, "", "names, with commas, by which --admin may be asked for, besides localhost and addresses"],
]
FLAGS: list[list[Any]] = [["admin-may-cut", None, "let whoever may ask for --admin cut connections, too"]]

_REFINING = ("admin-token", "admin-tls", "admin-tls-ca", "admin-host", "admin-may-cut")


class Token:
    """The token of a file, read again when the service reloads.

    Args:
        path: the file.

    Raises:
        OptionError: there is no token in it, or others can read it.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.reload()

    def __call__(self) -> Secret:
        """The token of the moment."""
        return self._token

    def reload(self) -> None:
        """Read the file again; what cannot be used changes nothing."""
        try:
            token = read_secret(self._path)
        except ValueError as why:
            raise OptionError(f"--admin-token: {why}") from None
        if len(token) < SHORTEST:
            raise OptionError(f"--admin-token: a token of less than {SHORTEST} characters can be guessed")
        self._token = Secret(token)


SHORTEST = 16
"""Characters of a token."""


def check(given: Given) -> None:
    """Refuse what cannot be honoured, above all pages that anybody could ask for."""
    if given["admin"] is None:
        for name in _REFINING:
            if given[name]:
                raise UsageError(f"--{name} has no effect without --admin")
        return
    try:
        place = _place(given)
        server_endpoint(None, place.endpoint)
        _token(given)
        _tls(given)
    except (OptionError, TLSTrouble) as why:
        raise UsageError(str(why) if str(why).startswith("--") else f"--admin: {why}") from None


def _place(given: Given) -> Place:
    place = Place.parse(given["admin"])
    if place.tls and given["admin-tls"] is None:
        raise OptionError(f"--admin {place.written} needs a certificate: --admin-tls PEM")
    for name in ("admin-tls", "admin-tls-ca"):
        if given[name] is not None and not place.tls:
            raise OptionError(f"--{name} is for --admin tls:PORT, not for {place.written}")
    if not place.near:
        where = f"--admin {place.written} can be reached from elsewhere"
        if not place.tls:
            raise OptionError(f"{where}: say tls:PORT there, with --admin-tls PEM, or stay on loopback")
        if given["admin-token"] is None and given["admin-tls-ca"] is None:
            raise OptionError(f"{where}: say who may ask, by --admin-token FILE or --admin-tls-ca PEM")
    if given["admin-may-cut"] and place.anybody and given["admin-token"] is None and given["admin-tls-ca"] is None:
        raise OptionError(
            f"--admin-may-cut: every user of this machine could cut connections by {place.written};"
            " say who may, by --admin-token FILE, or use unix:PATH"
        )
    return place


def _token(given: Given) -> Token | None:
    return None if given["admin-token"] is None else Token(given["admin-token"])


def _tls(given: Given) -> ServerTLS | None:
    if given["admin-tls"] is None:
        return None
    return server_tls(given["admin-tls"], alpn=(b"http/1.1",), client_ca=given["admin-tls-ca"])


def equip(service: Any, house: House, given: Given) -> None:
    """Let the pages be served for as long as the service is there, its start and its end included."""
    from twisted.internet import reactor

    if given["admin"] is None:
        return
    place, token, tls = _place(given), _token(given), _tls(given)
    for readable in (token, tls):
        if readable is not None:
            house.when_reloaded(readable.reload)
    names = [each.strip() for each in given["admin-host"].split(",") if each.strip()]
    access = Access(names, token, certificate=given["admin-tls-ca"] is not None)
    pages = namedAny("netguard.admin.pages.Pages")(house, _about(given), access, reactor)
    factory = pages.factory if tls is None else TLSMemoryBIOFactory(tls, isClient=False, wrappedFactory=pages.factory)
    endpoint = server_endpoint(reactor, place.endpoint)
    listening = ListeningService(endpoint, factory, f"--admin {place.written}")
    listening.listening.addCallback(_give, given.parent or {}).addCallback(house.listens_besides)
    listening.setServiceParent(pages)
    join(service, pages, before=True)


def _give(port: Any, twistd: Mapping[str, Any]) -> Any:
    """Let a UNIX socket belong to whom the service will be, who has to remove it."""
    uid, gid, name = twistd.get("uid"), twistd.get("gid"), getattr(port.getHost(), "name", None)
    if uid is not None and name is not None:
        with suppress(OSError):  # not root: then nobody changes who it is, either
            os.chown(name, uid, -1 if gid is None else gid, follow_symlinks=False)
    return port


def _about(given: Given) -> About:
    observed = [options_of(type(each)) for each in given.policy.guards if each.observe]
    return About(
        name=" ".join([getattr(given.parent, "subCommand", None) or "netguard", *getattr(given, "words", ())[:1]]),
        surface=given.surface,
        guards=tuple(type(each).__name__ for each in given.policy.guards),
        options=given.policy.options(),
        observed=tuple(one.flag for options in observed for one in options),
        settings=_settings(given),
        may_cut=bool(given["admin-may-cut"]),
    )


def _settings(given: Given) -> dict[str, str]:
    """What else keeps a promise, where it is on; only what may be shown."""
    found: dict[str, str] = {}
    for name in ("drain", "heartbeat", "log-format"):
        try:
            value = given[name]
        except KeyError:
            continue
        if not is_off(value):
            found[name] = str(value)
    if given.instance is not None:
        found["lock"] = str(given.instance.path)
    if getattr(given, "tls", None):
        found["tls"] = ""
    return found

"""The names of peers, as far as they resolve back."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from netguard.errors import NameNotVerified
from netguard.guard import Connection, Guard, House, Opener, frozen
from netguard.nameservers import Nameserver, nameservers
from netguard.options import choice, option
from netguard.proxy_url import proxy
from netguard.units import duration
from netguard.verdict import Verified, word


@frozen
class VerifiedName(Guard):
    """Look up the name of each peer, to log it or to refuse a peer without one; and say how names are looked up at all.

    Only a name counts that has the peer's address. The verdict is at ``connection.peer.name``. Peers without an address
    (UNIX sockets) have no name, and need none.

    Args:
        names: ``log`` looks a name up beside the connection, which does not wait for it; ``require`` lets it wait, and
            refuses a peer whose name was not verified, whatever the reason.
        within: seconds for a look-up, all of it; 3 unless given. For the name rules of the access rules, too.
        dns: the name servers to ask, for these rules, too; those of the machine unless given.
        proxy: the URL of a proxy through which to ask them over TCP, or ``env`` for the one in ``ALL_PROXY``.
    """

    names: str | None = option(
        "names",
        choice("log", "require"),
        "Look up each peer's name and log it, or refuse a peer without.",
        default=None,
    )
    within: float | None = option(
        "names-within", duration, "Take a name for not found out after this long.", default=None, otherwise="3s"
    )
    dns: tuple[Nameserver, ...] | None = option(
        "dns", nameservers, "Ask these name servers for names.", default=None, otherwise="those of the machine"
    )

    proxy: str | None = option("dns-proxy", proxy, "Ask the name servers over TCP, through this proxy.", default=None)

    def install(self, house: House) -> Opener:
        """Tell the service's resolver how to look names up."""
        house.names.settle(self.dns, self.within, self.proxy)
        return {None: _nothing, "log": Beside(house).open, "require": Required(house).open}[self.names]


class Beside:
    """Looks names up while the connections go on.

    Args:
        house: the service.
    """

    def __init__(self, house: House) -> None:
        self.house = house

    def open(self, connection: Connection) -> None:
        """Begin to look the name up, unless another guard has; nobody waits for it."""
        if connection.host is None or connection.peer.name is not None:
            return
        _look_up(self.house, connection).addCallbacks(lambda verdict: connection.learn(name=verdict), _nothing)


class Required:
    """Lets connections wait for their names.

    Args:
        house: the service.
    """

    def __init__(self, house: House) -> None:
        self.house = house

    def open(self, connection: Connection) -> Awaitable[object] | None:
        """Look the name up, unless another guard has."""
        return None if connection.host is None else self.ask(connection)

    async def ask(self, connection: Connection) -> None:
        """Refuse a peer whose name was not verified."""
        verdict: Any = connection.peer.name
        if verdict is None:
            verdict = await _look_up(self.house, connection)
            connection.learn(name=verdict)
        if not isinstance(verdict, Verified):
            connection.refuse(NameNotVerified("a verified name", word(verdict)))


def _look_up(house: House, connection: Connection) -> Any:
    """A look-up that ends with the connection."""
    looking = house.names.verify(connection.host)
    if not looking.called:
        connection.at_end(lambda _: looking.cancel())
    return looking


def _nothing(_: object) -> None:
    pass

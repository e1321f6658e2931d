"""The one call for authors: let a guarded factory count together with those of other machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netguard.fleet.exchange import Exchange
from netguard.fleet.redis import RedisLedger
from netguard.fleet.redis_url import RedisURL

if TYPE_CHECKING:
    from netguard.factory import GuardedFactory


def join_fleet(factory: GuardedFactory, url: str) -> Exchange:
    """Let a guarded factory, and all that are beside it, count together with those of other machines.

    It begins at once, on the factory's reactor. Penalties, ``connect-rate-per-peer`` and ``max-per-peer`` are shared,
    as far as the factory has guards for them; whatever the ledger does, the guards go on by what is known here.

    Args:
        factory: what :meth:`netguard.Policy.wrap` returned.
        url: where the ledger is, as ``--ledger`` has it; here, a password may stand in it.

    Returns:
        This machine's side; its ``stop()`` leaves the fleet.

    Raises:
        OptionError: the URL names no ledger, or a file that cannot be used.
    """
    service, place = factory.service, RedisURL.parse(url)
    exchange = Exchange(service, RedisLedger(place, service.reactor), service.reactor, place.terms)
    service.offers["ledger"] = exchange
    exchange.start()
    return exchange

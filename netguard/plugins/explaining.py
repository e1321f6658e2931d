"""``explain`` on the control socket: what a running service would do with a peer, as things stand there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

from netguard.explanation import Supposed, explain
from netguard.guards.connection_limit import ConnectionLimit
from netguard.load.signals import NAMES
from netguard.packed import packed, peer_key, unpacked
from netguard.policy import Policy
from netguard.process.commands import Call, Command, ControlError
from netguard.units import Prefix

if TYPE_CHECKING:
    from netguard.service import Service

_MOST = 1000
"""Connections of one peer that are supposed to be there: no policy says anything else of more."""


class Explainer:
    """Asks the guards about a peer that does not exist, with the connections, the load and the limits of now.

    Args:
        policy: the guards, as they were when the service began.
        house: the service.
    """

    def __init__(self, policy: Policy, house: Service) -> None:
        self._policy = policy
        self._house = house
        self.command = Command(
            "explain",
            "ADDRESS",
            "What would become of a peer that connects now, and why.",
            self.explain,
        )

    def explain(self, call: Call) -> Mapping[str, object]:
        """Ask."""
        address = packed(call.words[0])
        if address is None:
            raise ControlError(f"{call.words[0][:60]!r} is no address")
        host, house = unpacked(address), self._house
        limits = (each.prefix for each in self._policy.guards if isinstance(each, ConnectionLimit))
        prefix = next(limits, Prefix())
        peer = peer_key(address, prefix)
        there = sum(peer_key(each.packed, prefix) == peer for each in house.connections)
        load = {name: house.signals.read(name) for name in NAMES}
        told = explain(self.policy(), Supposed(host, connections=min(there, _MOST), load=load))
        left = max((row.left for row in self._rows() if is_of(host, row.key)), default=0.0)
        about: dict[str, Any] = {"from": host, "connections": there, "verdict": told.verdict}
        if left:
            about |= {"verdict": "refused", "penalty": f"it has misbehaved, and is refused for {left:.0f}s more"}
        if told.reason is not None:
            about["reason"] = str(told.reason)
        guards = [
            {"guard": each.guard, "outcome": each.outcome, "options": _written(each.options)} for each in told.answers
        ]
        return {**about, "guards": guards}

    def _rows(self) -> Iterator[Any]:
        for ledger in self._house.penalties:
            yield from ledger.rows()

    def policy(self) -> Policy:
        """The guards, with what was changed since."""
        changed = {each.option.flag: each.text for each in self._house.dials}
        return Policy.from_options({**self._policy.options(), **changed})


def is_of(host: str, peer: str) -> bool:
    """Whether an address is meant by the key of a peer.

    Args:
        host: the address.
        peer: an address, a network that is one peer, or something else.
    """
    try:
        return ip_address(host) in ip_network(peer)
    except ValueError:
        return False


def _written(options: Mapping[str, str]) -> str:
    return ", ".join(f"{flag} {value}" for flag, value in options.items())

"""``--control``: a UNIX socket for operators, by which a running service is asked and told things."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from netguard.one_line import end_in_one_line
from netguard.plugins.concerns import Given, join
from netguard.plugins.explaining import Explainer
from netguard.process.control import Control
from netguard.process.handover import HandOver
from netguard.process.operator import Operator
from netguard.process.private_socket import PrivateSocket, SocketError
from netguard.process.vitals import Vitals
from netguard.workers.spreading import spread

if TYPE_CHECKING:
    from netguard.service import Service as House

PARAMETERS: list[list[Any]] = [
    ["control", None, None, "a UNIX socket by which root and the service's own user control it (see netguard ctl)"],
]
FLAGS: list[list[Any]] = []


def check(_given: Given) -> None:
    """There is nothing that could be known before it is tried."""


def equip(service: Any, house: House, given: Given) -> None:
    """Let the service have a control socket."""
    from twisted.internet import reactor

    if given["control"] is None:
        return
    heart = house.offers.get("heartbeat")
    vitals = Vitals(house) if heart is None else heart.vitals
    twistd = {} if given.parent is None else given.parent
    more = [Explainer(given.policy, house).command, *HandOver(house, given.instance, twistd).commands]
    operator = Operator(house, vitals, reactor, more)
    uid, gid = twistd.get("uid"), twistd.get("gid")
    owner = None if uid is None else (uid, -1 if gid is None else gid)
    alone = given.instance is not None and given.instance.held
    before = given["take-over"]
    follows = before is not None and Path(before).absolute() == Path(given["control"]).absolute()
    place = PrivateSocket(given["control"], alone=alone, follows=follows)
    control = _Control(place, spread(house.crew, operator.commands), house, reactor, owner)
    house.offers["control"] = control
    join(service, control, before=True)  # it is there when the ports are, and for as long as somebody is served


class _Control(Control):
    """Ends the start with one line where the socket cannot be had."""

    def privilegedStartService(self) -> None:
        """Listen.

        Raises:
            SocketError: the socket cannot be had. If nobody catches it, it ends the program with its one line.
        """
        try:
            super().privilegedStartService()
        except SocketError as why:
            end_in_one_line(why)
            raise

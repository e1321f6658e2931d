"""What a refused connection costs: the decision, and the closing of a descriptor."""

from __future__ import annotations

import socket
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from netguard.guards.access_rules import AccessRules
from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.connection_rate import ConnectionRate
from netguard.guards.idle_timeout import IdleTimeout
from netguard.guards.refusal import Refusal
from netguard.guards.write_stall import WriteStall
from netguard.policy import Policy
from netguard.testing import Echo
from tests.native.conftest import WITHIN, until

if TYPE_CHECKING:
    from tests.native.conftest import Ground

FOR_A_CONNECTION = {"Server", "Wrapper", "Connection", "socket", "Application", "IPv4Address"}
"""What is made for one that is let in."""

MANY = 30
"""After so many within a second they are only counted, not told one by one."""

FEW = 24
"""So many calls of Python's functions may be made for one that is only counted; one that is let in takes about 80."""


class Calls:
    """What Python calls while something is done.

    Attributes:
        names: the functions.
        made: the classes of which something was made, and those above them.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.made: set[str] = set()

    def watch(self, do: Any) -> None:
        """Do it."""
        sys.setprofile(self._called)
        try:
            do()
        finally:
            sys.setprofile(None)

    def _called(self, frame: Any, event: str, _: object) -> None:
        if event == "call":
            self.names.append(frame.f_code.co_name)
            if frame.f_code.co_name == "__init__":
                self.made |= {each.__name__ for each in type(frame.f_locals["self"]).__mro__}


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize(
    "guard",
    [
        ConnectionLimit(total=1),
        ConnectionLimit(per_peer=1),
        ConnectionRate(per_peer="1/h"),
        AccessRules("deny 127.0.0.2"),
    ],
    ids=["total", "per peer", "rate", "rule"],
)
async def test_nothing_is_made_for_who_is_refused(ground: Ground, guard: Any, how: str) -> None:
    """Neither a socket nor a transport, tallies, an address, an application or a timer."""
    port = ground.listen(Echo, Policy(guard, IdleTimeout("1h"), WriteStall("1h"), Refusal(how)))
    accept, seen = port.doRead, list[Calls]()

    def watched() -> None:
        seen.append(Calls())
        seen[-1].watch(accept)

    def reached(number: int) -> bool:
        return len(seen) >= number

    port.doRead = watched
    source = "127.0.0.2" if isinstance(guard, AccessRules) else "127.0.0.1"
    await ground.connect(port)
    assert FOR_A_CONNECTION - seen[-1].made == set()  # that this would see it
    for number in range(MANY):
        with socket.create_connection(("127.0.0.1", port.getHost().port), WITHIN, (source, 0)):
            await until(partial(reached, number + 2))
    assert not any(each.made & FOR_A_CONNECTION for each in seen[1:])
    assert min(len(each.names) for each in seen[1:]) < FEW
    assert len(ground.applications) == 1

"""What a refused connection costs: the decision, and the closing of a descriptor."""

from __future__ import annotations

import sys
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
from tests.native.conftest import until

if TYPE_CHECKING:
    from netguard.guard import Guard
    from tests.native.conftest import Ground

MADE_FOR_A_CONNECTION = {"Server", "NativeMeter", "Wrapper", "Connection", "socket", "Echo", "IPv4Address", "Peer"}


class Calls:
    """What Python calls while something is done.

    Attributes:
        made: the classes of which something was made.
        names: the functions that were called.
    """

    def __init__(self) -> None:
        self.made: set[str] = set()
        self.names: list[str] = []

    def __enter__(self) -> Calls:  # noqa: PYI034 - no subclasses
        sys.setprofile(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _called(self, frame: Any, event: str, _: object) -> None:
        if event == "call":
            self.names.append(frame.f_code.co_qualname if sys.version_info >= (3, 11) else frame.f_code.co_name)
            if frame.f_code.co_name == "__init__":
                self.made |= {each.__name__ for each in type(frame.f_locals["self"]).__mro__}


GUARDS = {
    "full": (ConnectionLimit(total=1),),
    "of one peer": (ConnectionLimit(per_peer=1),),
    "too often": (ConnectionRate(per_peer="1/h"),),
    "forbidden": (AccessRules(deny="127.0.0.2"),),
}


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("why", GUARDS)
async def test_nothing_is_made_for_who_is_refused(ground: Ground, why: str, how: str, logged: Any) -> None:
    """No socket, no transport, no tallies, no address, no application; and no timer."""
    print(logged)
    guards: tuple[Guard, ...] = (*GUARDS[why], IdleTimeout("1h"), WriteStall("1h"), Refusal(how))
    port = ground.listen(Echo, Policy(*guards))
    if why != "forbidden":
        await ground.connect(port)
    accept, seen = port.doRead, list[Calls]()

    def watched() -> None:
        with Calls() as calls:
            accept()
        seen.append(calls)

    port.doRead = watched
    source = "127.0.0.2" if why == "forbidden" else "127.0.0.1"
    import socket
    with socket.create_connection(("127.0.0.1", port.getHost().port), 5, (source, 0)) as client:
        client.setblocking(False)
        await until(lambda: seen)
        print(seen[0].names, seen[0].made)
    del port.doRead
    assert not seen[0].made & MADE_FOR_A_CONNECTION

"""Whose transport carries the connections."""

from __future__ import annotations

from typing import Any

from netguard.guard import Connection, Guard, House, Opener, frozen
from netguard.options import option
from netguard.units import Unit

NATIVE, STOCK = "native", "stock"


def _parse(value: Any) -> str:
    kind = str(value).strip().lower()
    if kind in (NATIVE, STOCK):
        return kind
    raise ValueError(value)


kind = Unit("transport", f"{NATIVE} or {STOCK}", _parse)


@frozen
class Transport(Guard):
    """Choose the transport below the guards: netguard's own, or Twisted's with a wrapper above it.

    Netguard's own is taken unless this says otherwise, wherever it can be: where a TCP port listens for the guarded
    factory itself on a reactor that watches file descriptors. The event ``listening`` says which it is. An application
    can tell the two by their speed alone; this is the way back, should that not be so.

    Args:
        kind: ``native`` or ``stock``.
    """

    kind: str = option("transport", kind, "Whose TCP transport carries connections: netguard's own, or Twisted's.")

    def install(self, house: House) -> Opener:
        """Tell the service."""
        house.carry_by(self.kind)
        return self.open

    def open(self, connection: Connection) -> None:
        """There is nothing to ask of a connection."""

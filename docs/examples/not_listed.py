"""A guard that needs time to decide."""

from __future__ import annotations

from pathlib import Path

from netguard import Connection, Guard, frozen, option
from netguard.errors import Reason
from netguard.units import Unit
from twisted.internet.threads import deferToThread

file = Unit("file", "the path of a file", Path)


class Listed(Reason):
    """The peer's address stands in the list."""

    guard, option, unit = "NotListed", "not-in", file
    summary = "the peer's address stands in the list"


@frozen
class NotListed(Guard):
    """Refuse peers whose address stands in a file, one a line.

    Args:
        path: the file; it is read anew for each connection, in a thread.
    """

    path: Path = option("not-in", file, "Refuse peers whose address stands in this file.")

    async def open(self, connection: Connection) -> None:
        """Read, and decide. The connection waits, and nothing of it is read meanwhile."""
        text = await deferToThread(self.path.read_text)
        if connection.host in text.split():
            connection.refuse(Listed(self.path))

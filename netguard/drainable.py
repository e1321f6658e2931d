"""What an application's protocol may provide, so that it has a say when its service stops."""

from __future__ import annotations

from zope.interface import Interface


class IDrainable(Interface):
    """A protocol that knows how to come to an end while its service drains.

    A protocol that does not provide this is closed as soon as its connection is at rest: nothing waits to be sent, what
    came was answered, and both sides have been silent for a moment.
    """

    def drain() -> None:
        """Begin nothing new from now on; what is under way goes on. Called once, when the draining begins."""

    def depart() -> bool:
        """End the connection, if nothing is under way, behind what is queued for the peer.

        Called again and again, when it is this connection's turn: not all shall come back to the next instance at
        once.

        Returns:
            Whether it ends.
        """

"""How the HTTP connections of twisted.web end: between two requests, and never within one.

A channel of twisted.web is its transport's producer for as long as it lives, and an answer may be silent for minutes.
So nothing of that can be seen from outside; but the channel knows its requests.
"""

from __future__ import annotations

import sys
from typing import Any

from zope.interface import implementer

from netguard.drainable import IDrainable


@implementer(IDrainable)
class HTTPEnd:
    """The end of one connection.

    Args:
        channel: a ``twisted.web.http.HTTPChannel``, or what stands for one when HTTP/2 is spoken.
    """

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    @property
    def _busy(self) -> bool:
        channel = self._channel
        return bool(getattr(channel, "requests", None) or getattr(channel, "streams", None))

    def drain(self) -> None:
        """Close behind the answer that is under way, if there is one."""
        if self._busy:
            self._channel.persistent = 0

    def depart(self) -> bool:
        """Close, unless a request is under way, be it half read or half answered."""
        if self._busy:
            return False
        self._channel.loseConnection()
        return True


def http_end(protocol: Any) -> HTTPEnd | None:
    """How a protocol of twisted.web ends; None for any other, also where twisted.web is not in use.

    Args:
        protocol: an application's.
    """
    http = sys.modules.get("twisted.web.http")
    if http is None:
        return None
    channel = getattr(protocol, "_channel", protocol)  # what Site makes stands in front of either kind
    kinds = tuple(kind for kind in (http.HTTPChannel, getattr(http, "H2Connection", None)) if kind is not None)
    return HTTPEnd(channel) if isinstance(channel, kinds) else None

"""``twistd guestbook``: a service of one's own, with guards, a lock, a log, a heartbeat, and all the rest."""

from __future__ import annotations

from typing import Any, ClassVar

from netguard.plugins.service_options import ServiceOptions
from twisted.internet.protocol import Factory

from guestbook import Guestbook


class Options(ServiceOptions):
    """The command line. What stands here is the guest book's own; all other options come by themselves."""

    synopsis = "[--listen ENDPOINT]... [options]"
    about = """
Takes entries, a line each.

  twistd -n guestbook --listen tcp:8023 --max-per-peer 5
"""
    optParameters: ClassVar = [["greeting", None, "Who are you?", "what to ask a guest first"]]

    def usual(self) -> list[str]:
        """Where to listen when nothing was said."""
        return ["tcp:8023:interface=127.0.0.1"]


def makeService(options: Options) -> Any:
    """The service, for twistd."""
    Guestbook.greeting = options["greeting"].encode()
    return options.serve(Factory.forProtocol(Guestbook))

"""A service is closed to debuggers once it runs, unless told otherwise, and its secrets end with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from twisted.application.service import MultiService, Service

from netguard.plugins import hardening
from netguard.plugins.hardening import Hardened
from netguard.secret import wipe_all
from tests.popserver import Server, Site

if TYPE_CHECKING:
    from tests.conftest import Logged


class Triggers:
    """A reactor's end, which never comes."""

    def __init__(self) -> None:
        self.added: list[Any] = []

    def addSystemEventTrigger(self, *words: Any) -> None:
        """Keep it."""
        self.added.append(words)


class Given(dict[str, Any]):
    """The options of a plugin.

    Args:
        parent: those of twistd.
        dumps: whether core dumps are wanted.
    """

    def __init__(self, parent: Any, dumps: int = 0) -> None:
        super().__init__({"core-dumps": dumps})
        self.parent = parent


@pytest.mark.parametrize(("trouble", "told"), [(None, 0), ("it cannot be done here: no", 1)])
def test_it_is_closed_when_it_starts_and_wiped_at_the_very_end(trouble: str | None, told: int, logged: Logged) -> None:
    """Behind everything that a shutdown waits for; what could not be done is told."""
    triggers = Triggers()
    Hardened(triggers, lambda: trouble).startService()
    assert triggers.added == [("after", "shutdown", wipe_all)]
    assert [each["reason"] for each in logged.named("unhardened")] == [trouble] * told


def test_with_core_dumps_only_the_secrets_end() -> None:
    """Somebody has to find a fault."""
    triggers = Triggers()
    Hardened(triggers, None).startService()
    assert len(triggers.added) == 1


@pytest.mark.parametrize(("parent", "joined"), [(None, 0), ({}, 0), ({"nodaemon": 1}, 1)])
@pytest.mark.parametrize("dumps", [0, 1])
def test_it_joins_under_twistd_only(parent: Any, joined: int, dumps: int) -> None:
    """Elsewhere the process is another's."""
    service: Any = Service()
    given: Any = Given(parent, dumps)
    hardening.check(given)
    house: Any = None
    hardening.equip(service, house, given)
    application: Any = MultiService()
    service.setServiceParent(application)
    assert [type(each) for each in application] == [*[Hardened] * joined, Service]


def test_secrets_are_wiped_when_the_reactor_has_stopped() -> None:
    """After the last thing that a shutdown waits for."""
    code = """
from twisted.internet import reactor
from twisted.internet.task import deferLater
from netguard.plugins.hardening import Hardened
from netguard.secret import Secret
secret, seen = Secret("hush"), []
Hardened(reactor, None).startService()
late = lambda: deferLater(reactor, 0.1, lambda: seen.append(secret.reveal()))
reactor.addSystemEventTrigger("before", "shutdown", late)
reactor.callWhenRunning(reactor.stop)
reactor.run()
print(seen, bytes(secret._octets))
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == r"[b'hush'] b'\x00\x00\x00\x00'" + "\n"


@pytest.mark.parametrize(("words", "core"), [((), "0"), (("--core-dumps",), None)])
def test_a_service_runs_closed_and_sees_itself(words: tuple[str, ...], core: str | None, tmp_path: Path) -> None:
    """The whole way; the kernel says what the limit is."""
    site = Site.make(tmp_path)
    server = Server.start(*site.options, *words, "--listen", "tcp:0:interface=127.0.0.1", cwd=tmp_path)
    try:
        server.ports()
        lines = Path(f"/proc/{server.process.pid}/limits").read_text().splitlines()
        (limits,) = [line.split() for line in lines if line.startswith("Max core file size")]
        assert (limits[4] == "0") is (core == "0") or core is None
        assert server.events("unhardened", "unreadable") == []
    finally:
        assert server.stop() == 0

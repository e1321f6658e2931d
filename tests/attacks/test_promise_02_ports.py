"""Promise 2: a privileged source port proves nothing; no rule can grant by it, it can be logged or refused."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.endpoints import serverFromString
from twisted.internet.testing import MemoryReactorClock

from netguard import config
from netguard.errors import OptionError
from netguard.guards.access_rules import AccessRules
from netguard.guards.proxy_protocol import ProxyProtocol
from netguard.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.attacks.conftest import Site

    Serve = Callable[..., AbstractAsyncContextManager[Site]]


def _from_privileged(here: Site) -> socket.socket:
    """A peer whose port needs privileges, as rsh's and NFS's clients have them."""
    for port in range(1023, 600, -1):
        peer = here.peers.enter_context(socket.socket())
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            peer.bind(("127.0.0.1", port))
        except PermissionError:
            pytest.skip("binding a port below 1024 is not allowed here")
        except OSError:  # somebody has it
            continue
        here.began.append(0.0)
        peer.connect(here.address)
        peer.setblocking(False)
        return peer
    pytest.fail("no port below 1024 is free")


async def test_a_privileged_port_opens_no_door(site: Serve, read: Any) -> None:
    """Whoever the rules keep out stays out, from whichever port."""
    for how in ("allow", "log"):
        async with site(AccessRules("allow 192.0.2.0/24", privileged_port=how)) as here:
            assert await read(_from_privileged(here)) == b""
            assert await read(here.connect()) == b""
            assert here.subjects == []


async def test_a_privileged_port_is_refused_where_that_is_wanted(site: Serve, read: Any, logged: Any) -> None:
    """Though a rule lets everybody in; and other ports are not concerned."""
    async with site(AccessRules("allow ALL", privileged_port="refuse")) as here:
        assert await read(_from_privileged(here)) == b""
        assert here.subjects == []
        here.connect()
        await here.subject()
    (event,) = logged.named("refused")
    assert (event["option"], event["limit"]) == ("privileged-port", "1024")
    assert int(event["observed"]) == event["client.port"] < 1024


async def test_a_privileged_port_is_logged_where_that_is_wanted(site: Serve, logged: Any) -> None:
    """As what it is, and not as a merit."""
    async with site(AccessRules(privileged_port="log")) as here:
        _from_privileged(here)
        await here.subject(0)
        here.connect()
        await here.subject(1)
    assert [event.get("client.privileged") for event in logged.named("opened")] == ["yes", None]


@pytest.mark.parametrize(("claimed", "let_in"), [(1023, False), (1024, True)])
async def test_the_port_that_a_proxy_names_is_the_one_that_counts(
    site: Serve, read: Any, claimed: int, *, let_in: bool
) -> None:
    """The proxy's own port is nobody's."""
    async with site(ProxyProtocol("127.0.0.1"), AccessRules("allow ALL", privileged_port="refuse")) as here:
        peer = here.connect() if let_in is False else _from_privileged(here)
        peer.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 %d 110\r\n" % claimed)
        if let_in:
            await here.subject()
        else:
            assert await read(peer) == b""
            assert here.subjects == []


BY_PORT = ["192.0.2.7:1023", "[2001:db8::1]:1023", "192.0.2.0/24:1023", ":1023", "1023", "port=1023", "host.example:22"]


@pytest.mark.parametrize("what", BY_PORT)
def test_there_is_no_way_to_write_a_rule_by_port(what: str, tmp_path: Path) -> None:
    """In Python, in an endpoint string, in a configuration file, in a file of rules."""
    with pytest.raises(OptionError):
        AccessRules(f"allow {what}")
    with pytest.raises(OptionError):
        Policy.from_options({"allow": what})
    quoted = what.replace(":", r"\:").replace("=", r"\=")
    with pytest.raises(OptionError):
        serverFromString(MemoryReactorClock(), f"guard:tcp:80:allow={quoted}")
    toml, rules = tmp_path / "guards.toml", tmp_path / "net.rules"
    toml.write_text(f"[guards]\nallow = '{what}'\n")
    with pytest.raises(OptionError):
        config.load(toml)
    rules.write_text(f"allow {what}\n")
    with pytest.raises(OptionError):
        AccessRules(file=rules)

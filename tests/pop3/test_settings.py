"""What all sessions share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netguard.pop3.factory import Pop3Factory
from netguard.wire import apop

if TYPE_CHECKING:
    from tests.pop3.doubles import World


@pytest.mark.parametrize("hostname", ["", "a b", "x>", "mail=1"])
def test_unsafe_host_name(world: World, hostname: str) -> None:
    """A host name that cannot stand in a greeting is refused at the start."""
    with pytest.raises(ValueError, match="host name"):
        Pop3Factory(world.accounts, world.opener, reactor=world.clock, hostname=hostname)


def test_timestamps_are_random(world: World) -> None:
    """Each greeting has a nonce of its own, of at least 128 bits, from the source that was given."""
    asked: list[int] = []

    def source(octets: int) -> bytes:
        asked.append(octets)
        return bytes([len(asked)]) * octets

    settings = Pop3Factory(world.accounts, world.opener, reactor=world.clock, hostname="h", random=source).settings
    assert settings.stamp() == b"<" + b"01" * apop.NONCE_OCTETS + b"@h>"
    assert settings.stamp() == b"<" + b"02" * apop.NONCE_OCTETS + b"@h>"
    assert min(asked) * 8 >= 128


def test_the_key_stays_inside(world: World) -> None:
    """The key of pseudonyms is random, and no representation shows it."""
    one, two = world.factory().settings, world.factory().settings
    assert one.key != two.key
    assert repr(one.key) not in repr(one)

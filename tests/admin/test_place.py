"""Where the admin pages are: on loopback unless told otherwise, and what can be reached from elsewhere is known."""

from __future__ import annotations

import pytest

from netguard.admin.place import Place
from netguard.errors import OptionError


@pytest.mark.parametrize(
    ("written", "endpoint"),
    [
        ("tcp:9113", "tcp:9113:interface=127.0.0.1"),
        ("tcp6:9113", r"tcp6:9113:interface=\:\:1"),
        ("tls:9113", "tcp:9113:interface=127.0.0.1"),
        ("tcp:port=9113:backlog=9", "tcp:port=9113:backlog=9:interface=127.0.0.1"),
        ("unix:/run/admin", "unix:/run/admin:mode=600"),
        ("unix:/run/admin:mode=660", "unix:/run/admin:mode=660"),
        ("TCP:9113:interface=localhost", "tcp:9113:interface=localhost"),
    ],
)
def test_who_says_nothing_else_stays_on_this_machine(written: str, endpoint: str) -> None:
    """A port without an interface is on loopback, and a socket without a mode is its owner's."""
    place = Place.parse(written)
    assert place.endpoint == endpoint
    assert place.near
    assert place.tls == written.startswith("tls")


@pytest.mark.parametrize(
    ("interface", "near"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        (r"\:\:1", True),
        ("0.0.0.0", False),  # noqa: S104 - this is the question
        (r"\:\:", False),
        ("192.0.2.1", False),
        ("", False),
        ("localhost.example", False),
    ],
)
def test_what_can_be_reached_from_elsewhere_is_known(interface: str, near: bool) -> None:
    """Only a loopback address, or localhost, is near."""
    assert Place.parse(f"tcp:9113:interface={interface}").near is near


@pytest.mark.parametrize("written", ["", "9113", "ssl:9113", "systemd:domain=INET:index=0", "guard:tcp:9113"])
def test_other_endpoints_are_refused(written: str) -> None:
    """Of those nobody here knows who could reach them."""
    with pytest.raises(OptionError, match="is not tcp:PORT"):
        Place.parse(written)

"""An application says by an interface that it has a say when its service stops."""

from __future__ import annotations

from netguard.drainable import IDrainable
from netguard.pop3.session import Pop3Session


def test_what_has_to_be_there() -> None:
    """Two calls; the sessions of netguard-pop have both."""
    assert sorted(IDrainable) == ["depart", "drain"]
    assert IDrainable.implementedBy(Pop3Session)

"""Which pages there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netguard.admin.health import Health
from netguard.admin.site import AdminSite, guarded

if TYPE_CHECKING:
    from netguard.admin.access import Access
    from netguard.factory import GuardedFactory
    from netguard.service import Service


def pages(house: Service, access: Access, reactor: Any) -> GuardedFactory:
    """Everything that is served for a service, under guards.

    Args:
        house: the service that is shown.
        access: who may ask.
        reactor: the clock.
    """
    health = Health(house)
    answers = {
        "/healthz": {"GET": health.alive},
        "/readyz": {"GET": health.ready},
    }
    return guarded(AdminSite(answers, access, reactor), reactor)

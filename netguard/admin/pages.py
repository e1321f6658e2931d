"""Which pages there are."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from twisted.application.service import MultiService
from twisted.python.reflect import namedAny

from netguard.admin.asked import Answer, Asked, line
from netguard.admin.cutting import Cutting
from netguard.admin.health import Health
from netguard.admin.history import History
from netguard.admin.now import Now
from netguard.admin.page import Page as StatusPage
from netguard.admin.site import AdminSite, Guarded, Page
from netguard.process.vitals import Vitals

if TYPE_CHECKING:
    from netguard.admin.about import About
    from netguard.admin.access import Access
    from netguard.factory import GuardedFactory
    from netguard.service import Service

_STATIC = {
    "/page.css": "text/css; charset=utf-8",
    "/page.js": "text/javascript; charset=utf-8",
    "/icon.svg": "image/svg+xml",
}
NO_METRICS = "metrics need prometheus-client: pip install 'netguard[metrics]'"

_Service: Any = MultiService  # it is not annotated


class Pages(_Service):  # type: ignore[misc]
    """Everything that is served for a service, and what has to run for that.

    Args:
        house: the service that is shown.
        about: how it was set up.
        access: who may ask.
        reactor: the clock.

    Attributes:
        factory: the pages, under guards of their own.
    """

    factory: GuardedFactory

    def __init__(self, house: Service, about: About, access: Access, reactor: Any) -> None:
        super().__init__()
        vitals, health, cutting = Vitals(house), Health(house), Cutting(house)
        history = History(vitals, reactor)
        history.setServiceParent(self)
        page = StatusPage(vitals, history, about, cutting.secret)
        answers: dict[str, dict[str, Page]] = {
            "/": {"GET": page.answer},
            "/figures.json": {"GET": Now(page).answer},
            "/healthz": {"GET": health.alive},
            "/metrics": {"GET": _metrics(vitals, about)},
            "/readyz": {"GET": health.ready},
            **{path: {"GET": _file(path, kind)} for path, kind in _STATIC.items()},
        }
        if about.may_cut:
            answers["/cut"] = {"POST": cutting.cut}
        self.factory = Guarded(AdminSite(answers, access, reactor), reactor)


def _metrics(vitals: Vitals, about: About) -> Callable[[Asked], Answer]:
    try:
        metrics = namedAny("netguard.admin.metrics.Metrics")
    except ImportError:
        return lambda _: line(NO_METRICS, 501)
    page: Callable[[Asked], Answer] = metrics(vitals, about.guards).page
    return page


def _file(path: str, kind: str) -> Callable[[Asked], Answer]:
    answer = Answer(files("netguard.admin").joinpath("static", path[1:]).read_bytes(), kind)
    return lambda _: answer

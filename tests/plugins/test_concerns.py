"""What every service has besides its guards: each concern has its options, and joins in its order."""

from __future__ import annotations

import re
from typing import Any

import pytest
from twisted.application.service import MultiService, Service

from netguard.plugins.concerns import join
from netguard.plugins.guard_options import CONCERNS, GuardOptions


class Recorded(Service):
    """Tells when it starts and stops.

    Args:
        mark: its name.
        told: where it tells that.
    """

    def __init__(self, mark: str, told: list[str]) -> None:
        self.mark = mark
        self.told = told

    def startService(self) -> None:
        """Tell."""
        self.told.append(f"{self.mark} starts")

    def stopService(self) -> None:
        """Tell."""
        self.told.append(f"{self.mark} stops")


@pytest.mark.parametrize("concern", CONCERNS, ids=lambda each: each.__name__.rpartition(".")[2])
def test_the_options_of_a_concern_are_explained(concern: Any) -> None:
    """In the help of every plugin, once."""
    text = GuardOptions().getUsage()
    for name, *_, words in [*concern.PARAMETERS, *concern.FLAGS]:
        assert len(re.findall(rf"^ +--{name}=?$", text, re.MULTILINE)) == 1
        assert words.split()[0] in text


@pytest.mark.parametrize("before", [True, False])
def test_a_companion_joins_with_the_service_and_on_the_side_that_was_asked_for(*, before: bool) -> None:
    """Who starts first stops last."""
    told: list[str] = []
    service: Any = Recorded("service", told)
    join(service, Recorded("companion", told), before=before)
    application: Any = MultiService()
    service.setServiceParent(application)
    application.startService()
    application.stopService()
    starts = ["service starts", "companion starts"]
    stops = ["companion stops", "service stops"]
    assert told == ([*starts[::-1], *stops[::-1]] if before else [*starts, *stops])

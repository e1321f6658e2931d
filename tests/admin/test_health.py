"""Whoever asks for health learns whether the process lives, and whether a newcomer would be served."""

from __future__ import annotations

from typing import Any

from attrs import define
from twisted.internet.task import Clock

from netguard.admin.asked import Asked
from netguard.admin.health import Health
from netguard.service import Service

QUESTION = Asked("GET", "/readyz")


@define
class Port:
    """A port that listens, or did."""

    connected: bool = True


def test_who_answers_lives() -> None:
    """Whatever else is the matter."""
    assert Health(Service(Clock)).alive(QUESTION).code == 200


def test_a_service_is_ready_while_a_port_of_it_listens() -> None:
    """Not before, and not behind."""
    house = Service(Clock)
    health, port = Health(house), Port()
    before = health.ready(QUESTION)
    house.listens(port)
    during = health.ready(QUESTION)
    port.connected = False
    after = health.ready(QUESTION)
    assert [(each.code, each.body.decode().partition(":")[0].strip()) for each in (before, during, after)] == [
        (503, "starting"),
        (200, "ready"),
        (503, "stopping"),
    ]


def test_one_port_of_several_is_enough() -> None:
    """Others may have gone."""
    house = Service(Clock)
    ports: list[Any] = [Port(connected=False), Port()]
    for each in ports:
        house.listens(each)
    assert Health(house).ready(QUESTION).code == 200

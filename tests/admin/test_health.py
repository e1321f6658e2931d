"""Whoever asks for health learns whether the process lives, and whether a newcomer would be served."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock

from netguard.admin.asked import Asked
from netguard.admin.health import Health
from netguard.factory import GuardedFactory
from netguard.policy import Policy
from netguard.service import Service

QUESTION = Asked("GET", "/readyz")


def listening(*options: tuple[str, str]) -> GuardedFactory:
    """A service that listens."""
    factory = Policy.from_options(dict(options)).wrap(Factory.forProtocol(Protocol), Clock(), verbose=False)
    factory.doStart()
    return factory


def ready(house: Service) -> tuple[int, str]:
    """What is answered."""
    answer = Health(house).ready(QUESTION)
    return answer.code, answer.body.decode().strip()


def test_who_answers_lives() -> None:
    """Whatever else is the matter."""
    assert Health(Service(Clock)).alive(QUESTION).code == 200


def test_a_service_is_ready_once_it_listens() -> None:
    """One port is enough; not before it, and not once it drains."""
    assert ready(Service(Clock)) == (503, "starting: nothing listens yet")
    factory = listening()
    house = factory.service
    assert ready(house) == (200, "ready")
    house.close()
    assert ready(house) == (503, "draining: nobody is let in any more")
    factory.doStop()
    assert ready(house) == (503, "draining: nobody is let in any more")


def test_who_sheds_load_is_not_ready() -> None:
    """Whoever balances sends newcomers elsewhere, until it is over."""
    factory = listening(("shed", "load>5"))
    house = factory.service
    answers = []
    for load in (4.0, 9.0, 1.0):
        house.signals = house.signals.fixed({"load": load})
        for _ in range(30):
            factory.reactor.advance(0.25)  # type: ignore[attr-defined]  # it is a Clock
            house.tick(factory.reactor.seconds(), 0.25)
        answers.append(ready(house))
    assert answers == [(200, "ready"), (503, "shedding: newcomers are refused"), (200, "ready")]
    factory.doStop()


def test_who_lets_newcomers_wait_is_not_ready() -> None:
    """Nor is who only observes another than before."""
    factory = listening()
    port: Any = type("Port", (), {"connected": True, "stopReading": lambda _: None, "startReading": lambda _: None})()
    factory.listens(port)
    factory.service.pause_accepting("somebody")
    assert ready(factory.service) == (503, "shedding: newcomers have to wait")
    factory.service.resume_accepting("somebody")
    assert ready(factory.service) == (200, "ready")
    factory.doStop()


def test_who_only_observes_is_ready() -> None:
    """It refuses nobody."""
    factory = listening(("shed", "load>5"), ("observe", "all"))
    house = factory.service
    house.signals = house.signals.fixed({"load": 9.0})
    house.tick(1.0, 0.25)
    assert house.figures.told["shedding"] == 1
    assert ready(house) == (200, "ready")
    factory.doStop()

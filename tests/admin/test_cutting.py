"""A connection is cut by the form on our own page, and by nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netguard.admin.asked import Asked
from netguard.admin.cutting import Cutting
from netguard.errors import Expelled
from netguard.policy import Policy
from netguard.process.commands import ControlError
from netguard.testing import connect
from tests.coroutines import at_once

if TYPE_CHECKING:
    from netguard.testing.dialogue import Dialogue
    from tests.conftest import Logged


@pytest.fixture
def there() -> Dialogue:
    """Somebody who is connected."""
    return connect(Policy.from_options({"idle": "1h"}))


def posted(there: Dialogue, form: dict[str, str], headers: dict[str, str] | None = None) -> int:
    """The status of the answer to a form; its secret is the right one unless it has one."""
    cutting = Cutting(there.factory.service)
    number = str(there.connection.number) if there.connection is not None else ""
    given = {"session": number, "secret": cutting.secret, **form}
    code = at_once(cutting.cut(Asked("POST", "/cut", form=given, headers=headers or {"host": "localhost:9113"}))).code
    there.advance()
    return code


def test_our_own_form_cuts(there: Dialogue, logged: Logged) -> None:
    """And leads back to where it stood; the log has it."""
    cutting = Cutting(there.factory.service)
    assert there.connection is not None
    form = {"session": str(there.connection.number), "secret": cutting.secret, "sort": "-sent&x=\r\n", "page": "2"}
    answer = at_once(cutting.cut(Asked("POST", "/cut", form=form)))
    assert (answer.code, answer.headers) == (303, {"Location": "/?sort=-sent%26x%3D%0D%0A&page=2#connections"})
    there.advance()
    assert there.lost
    assert isinstance(there.connection.reason, Expelled)
    (told,) = logged.named("command")
    assert (told["by"], told["outcome"], told["command"]) == ("admin", "done", f"cut {there.connection.number}")


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "localhost:9113", "origin": "http://localhost:9113", "sec-fetch-site": "same-origin"},
        {"host": "localhost:9113", "origin": "https://localhost:9113"},
        {"host": "localhost:9113", "sec-fetch-site": "none"},
    ],
)
def test_a_browser_that_is_at_our_page_may(headers: dict[str, str], there: Dialogue) -> None:
    """It says so, in the ways in which browsers do."""
    assert posted(there, {}, headers) == 303
    assert there.lost


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ({"secret": ""}, {}),
        ({"secret": "x" * 43}, {}),
        ({"secret": "\udcff"}, {}),
        ({}, {"host": "localhost:9113", "origin": "http://attacker.example"}),
        ({}, {"host": "localhost:9113", "origin": "null"}),
        ({}, {"host": "localhost:9113", "sec-fetch-site": "cross-site"}),
        ({}, {"host": "localhost:9113", "sec-fetch-site": "same-site"}),
    ],
)
def test_a_form_of_somebody_elses_does_not(form: dict[str, str], headers: dict[str, str], there: Dialogue) -> None:
    """Whatever of it is right (CSRF)."""
    assert posted(there, form, headers) == 403
    assert not there.lost


@pytest.mark.parametrize("session", ["", "x", "-1", "1.5", "9" * 5000, "²"])
def test_a_session_is_a_number(session: str, there: Dialogue) -> None:
    """Whatever else comes is a mistake."""
    assert posted(there, {"session": session}) == 400
    assert not there.lost


def test_who_has_gone_meanwhile_is_gone(there: Dialogue, logged: Logged) -> None:
    """That is no mistake."""
    assert posted(there, {"session": "999999999"}) == 303
    assert [each["outcome"] for each in logged.named("command")] == ["there is no session 999999999"]
    assert not there.lost


class Crew:
    """Workers."""

    def __init__(self) -> None:
        self.expelled: list[int] = []

    async def expel(self, session: int) -> None:
        """Have it cut."""
        if session == 9:
            raise ControlError("there is no session 9")
        self.expelled.append(session)


def test_workers_cut_what_is_theirs(there: Dialogue, logged: Logged) -> None:
    """And say when they have no such session."""
    house = there.factory.service
    house.crew = Crew()
    assert [posted(there, {"session": session}) for session in ("7", "9")] == [303, 303]
    assert house.crew.expelled == [7]
    told = [(each["command"], each["outcome"]) for each in logged.named("command")]
    assert told == [("cut 7", "done"), ("cut 9", "there is no session 9")]
    assert not there.lost


def test_every_process_has_a_secret_of_its_own(there: Dialogue) -> None:
    """That nobody guesses."""
    secrets = {Cutting(there.factory.service).secret for _ in range(10)}
    assert len(secrets) == 10
    assert min(map(len, secrets)) >= 32

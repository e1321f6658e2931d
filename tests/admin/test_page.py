"""The page says what the service does, whole without a script, and nobody's words become a part of it."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from twisted.internet.address import HostnameAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock

from netguard.admin.about import About
from netguard.admin.asked import Asked
from netguard.admin.history import History
from netguard.admin.page import Page
from netguard.admin.table import ORDERS, SIZE
from netguard.policy import Policy
from netguard.process.rows import row
from netguard.process.vitals import Vitals
from netguard.service import Service
from netguard.testing import connect
from netguard.verdict import Verified
from netguard.wire.ident import UserId
from tests.coroutines import at_once

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;\u202e"
VOID = {"meta", "link", "input", "img"}


class Tree(HTMLParser):
    """What a browser makes of a page.

    Attributes:
        tags: every element and its attributes, in order.
        text: everything between them.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One begins."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """One ends, and it is the one that began last."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Text."""
        self.text += data

    def all(self, name: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of a kind."""
        return [attributes for tag, attributes in self.tags if tag == name]


def page_of(house: Service, about: About | None = None) -> Page:
    """The page of a service."""
    vitals = Vitals(house)
    vitals.begin()
    return Page(
        vitals, History(vitals, Clock()), about or About("netguard-pop", "pop"), "a-secret", lambda: 1_000_000.0
    )


def shown(page: Page, /, **query: str) -> Tree:
    """What it shows."""
    answer = at_once(page.answer(Asked("GET", "/", query)))
    assert answer.kind == "text/html; charset=utf-8"
    return Tree(answer.body.decode())


def test_it_needs_nothing_from_elsewhere_and_no_script() -> None:
    """Its own style sheet, script and icon; nothing stands in it that a policy would have to allow."""
    tree = shown(page_of(Service(Clock)))
    assert tree.all("script") == [{"src": "/page.js", "defer": None}]
    assert {each["href"] for each in tree.all("link")} == {"/icon.svg", "/page.css"}
    names = {name for _, attributes in tree.tags for name in attributes}
    assert not {name for name in names if name.startswith("on") or name == "style"}
    assert not tree.all("style")
    for each in ("Nobody is connected.", "No guard has had to act.", "Nothing yet.", "Starting: nothing listens yet"):
        assert each in tree.text


def test_it_can_be_found_one_s_way_in() -> None:
    """Landmarks, one title, sections with names, and a way past the head."""
    tree = shown(page_of(Service(Clock)))
    assert [len(tree.all(name)) for name in ("header", "main", "footer", "h1")] == [1, 1, 1, 1]
    assert tree.all("html") == [{"lang": "en"}]
    ids = {str(attributes["id"]) for _, attributes in tree.tags if "id" in attributes}
    for section in tree.all("section"):
        assert section["aria-labelledby"] in ids
    inside = [str(each["href"])[1:] for each in tree.all("a") if str(each["href"]).startswith("#")]
    assert len(inside) == 6
    assert set(inside) <= ids


def test_nobody_s_words_become_a_part_of_the_page() -> None:
    """Names, idents and where they come from stand there as text, in the answers for programs too."""
    there = connect(Policy.from_options({"idle": "1h"}), address=HostnameAddress(HOSTILE.encode(), 25))
    connection: Any = there.connection
    connection.learn(name=Verified(HOSTILE), ident=UserId("UNIX", "UTF-8", HOSTILE.encode()))
    tree = shown(page_of(there.factory.service, About(HOSTILE, "pop", options={"idle": HOSTILE}, may_cut=True)))
    assert tree.all("script") == [{"src": "/page.js", "defer": None}]
    assert not tree.all("img")
    assert not {name for _, attributes in tree.tags for name in attributes if name.startswith("on")}
    assert tree.text.count("<script>alert(1)</script>") >= 4


def crowd(count: int) -> Service:
    """So many connections."""
    factory = Policy.from_options({"idle": "1h"}).wrap(Factory.forProtocol(Protocol), Clock(), verbose=False)
    for _ in range(count):
        factory.buildProtocol(None)
    return factory.service


def test_connections_are_sorted_and_turned_by_links() -> None:
    """Each column by one, and the other way round by the same."""
    page = page_of(crowd(2 * SIZE + 1))
    tree = shown(page, sort="-received", page="2")
    links = [str(each["href"]) for each in tree.all("a") if str(each["href"]).startswith("?")]
    assert [
        f"?sort={way}{name}#connections" for name, way in zip(ORDERS, ("", "-", "-", "", "-", ""), strict=True)
    ] == [next(link for link in links if name in link and "page" not in link) for name in ORDERS]
    assert links[-2:] == ["?sort=-received&page=1#connections", "?sort=-received&page=3#connections"]
    assert "Page 2 of 3" in tree.text
    assert len(tree.all("tr")) == 1 + SIZE
    assert tree.all("form") == []
    last = shown(page, page="3")
    assert [each.get("aria-disabled") for each in last.all("span") if "aria-disabled" in each] == ["true"]


def test_a_button_cuts_where_that_is_allowed() -> None:
    """It is a form that is posted, with the secret of this page, and back comes the same page."""
    tree = shown(page_of(crowd(1), About(may_cut=True)), sort="sent")
    assert tree.all("form") == [{"method": "post", "action": "/cut"}]
    fields = {each["name"]: each["value"] for each in tree.all("input")}
    assert fields.keys() == {"session", "secret", "sort", "page"}
    assert (fields["secret"], fields["sort"], fields["page"]) == ("a-secret", "sent", "1")
    (button,) = tree.all("button")
    assert button == {"aria-label": f"Cut session {fields['session']}"}


def test_what_workers_do_not_tell_is_said() -> None:
    """Whether others have told something or not; what they say is text."""

    class Crew:
        def __init__(self, *told: Any) -> None:
            self.told = told

        async def gather(self, _command: str, _within: float) -> Any:
            return self.told, ["worker 2: <b>no answer</b>"]

    house = crowd(1)
    (one,) = [row(each) for each in house.connections]
    for told in ([], [{"total": 1, "connections": [one]}]):
        house.crew = Crew(*told)
        tree = shown(page_of(house))
        assert "Not all are here: worker 2: <b>no answer</b>" in tree.text
        assert "Nobody is connected." not in tree.text
        assert len(tree.all("table")) == len(told)


def test_who_is_being_cut_cannot_be_cut_again() -> None:
    """It has no button."""
    there = connect(Policy.from_options({"idle": "1h"}))
    connection: Any = there.connection
    page = page_of(there.factory.service, About(may_cut=True))
    assert len(shown(page).all("button")) == 1
    connection.state = "cut"
    tree = shown(page)
    assert tree.all("button") == []
    assert "192.0.2.1 port 40000cut" in tree.text


def test_what_guards_did_is_there() -> None:
    """By guard; and what those that observe would have done, where there are any."""
    there = connect(Policy.from_options({"idle": "5s", "max-per-peer": 1, "observe": "IdleTimeout"}))
    connect(there.factory)
    page = page_of(there.factory.service)
    assert "Would have" not in shown(page).text
    there.advance(10)
    tree = shown(page)
    assert "GuardRefusedCutWould have" in tree.text
    assert "ConnectionLimit100" in tree.text
    assert "IdleTimeout001" in tree.text


@pytest.mark.parametrize(
    ("about", "text"),
    [
        (About(surface="pop", options={"idle": "10m"}), "kept--idle 10m"),
        (About(surface="pop"), "off" + "Off here; --ident would turn it on."),
        (About(surface="guard"), "Not asked of this service."),
        (About(options={"idle": "10m"}, observed=("idle",)), "Only observed: --idle."),
        (About(settings={"tls": ""}), "kept--tls"),
    ],
)
def test_the_promises_are_there_and_how_this_service_keeps_them(about: About, text: str) -> None:
    """All seventeen, with the options that are on."""
    tree = shown(page_of(Service(Clock), about))
    assert len(tree.all("ol")) == 1
    assert sum(each.get("class") in ("kept", "off") for each in tree.all("li")) == 17
    assert text in tree.text


def test_what_cannot_be_read_here_is_left_out() -> None:
    """Some systems have no figures of memory and files."""
    house = Service(Clock)
    assert "Memory" in shown(page_of(house)).text
    house.signals = house.signals.fixed({"rss": 1.0, "fds": None})
    tree = shown(page_of(house))
    assert "Memory" in tree.text
    assert "files open" not in tree.text
    house.signals = house.signals.fixed({"rss": None, "fds": None})
    assert "Memory" not in shown(page_of(house)).text


def test_a_limit_that_was_set_meanwhile_is_the_one_that_is_shown() -> None:
    """As operators set them at run time."""
    factory = Policy.from_options({"max-connections": "900"}).wrap(Factory.forProtocol(Protocol), Clock())
    page = page_of(factory.service, About(options={"max-connections": "900"}))
    (dial,) = (each for each in factory.service.dials if each.option.flag == "max-connections")
    assert "--max-connections 900" in shown(page).text
    dial.set("12")
    assert "--max-connections 12" in shown(page).text
    assert "peak 0, limit 12" in shown(page).text

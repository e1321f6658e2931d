"""The status page in a real browser: what it shows, that it stays fresh, and that its buttons do what they say."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tests.popserver import PATIENCE, Server, Site, serving
from tests.programs import needs, path_of

pytestmark = [needs("chromium"), needs("chromedriver")]

TOKEN = "a-token-of-some-length"
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A browser without a window, and with nobody's habits."""
    profile = tmp_path_factory.mktemp("profile")
    options = webdriver.ChromeOptions()
    options.binary_location = path_of("chromium") or ""
    words = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    words += " --disable-component-update --disable-sync --disable-dev-shm-usage --force-prefers-reduced-motion"
    words += f" --user-data-dir={profile}"
    for word in [*words.split(), "--window-size=1280,900"]:
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(path_of("chromedriver")))
    try:
        yield browser
    finally:
        browser.quit()


def wait(driver: Any, true: Callable[[], Any]) -> Any:
    """Wait until something is there."""
    return WebDriverWait(driver, PATIENCE, poll_frequency=0.1, ignored_exceptions=(Exception,)).until(lambda _: true())


def style(driver: Any, what: str, name: str) -> str:
    """How something is shown."""
    found: str = driver.find_element(By.CSS_SELECTOR, what).value_of_css_property(name)
    return found


def luminance(colour: str) -> float:
    """As WCAG has it."""
    parts = [int(part) / 255 for part in colour.partition("(")[2].rstrip(")").split(",")[:3]]
    red, green, blue = ((p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4) for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(driver: Any, ink: str, paper: str) -> float:
    """Of some text to what it stands on."""
    bright, dark = sorted(
        (luminance(style(driver, ink, "color")), luminance(style(driver, paper, "background-color"))), reverse=True
    )
    return (bright + 0.05) / (dark + 0.05)


INKS = [
    ("dt", "#now dl > div"),
    ("dd.more", "#now dl > div"),
    ("#state strong", "#state strong"),
    ("header li a", "header"),
    ("thead a", ".scrolls"),
    ("#connections button", ".scrolls"),
    ("figcaption output", "figure"),
    (".kept .badge", ".kept .badge"),
    (".off .badge", ".off .badge"),
    ("code", "code"),
    ("footer a", "header"),
]
"""Text, and what it stands on."""


@contextmanager
def watched(folder: Path, *more: str) -> Iterator[tuple[Server, int, int]]:
    """A server, the port of its pages, and its own."""
    site = Site.make(folder)
    token = site.folder / "token"
    token.touch(0o600)
    token.write_text(TOKEN)
    words = ["--admin", "tcp:0", "--admin-token", str(token), "--admin-may-cut", *more]
    with serving(*site.options, "--listen", "tcp:0:interface=127.0.0.1", *words, cwd=site.folder) as server:
        admin, port = server.ports(2)
        yield server, admin, port


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, int, int]]:
    """One that lets three of a peer in."""
    with watched(tmp_path_factory.mktemp("site"), "--max-per-peer", "3") as server:
        yield server


def newcomer(stack: ExitStack, port: int) -> socket.socket:
    """Somebody who connects, and hears whether he is let in."""
    peer = stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
    peer.recv(1000)
    return peer


def test_an_operator_clicks_through(served: tuple[Server, int, int], driver: Any) -> None:
    """Looks, sorts, sees newcomers come, cuts one of them, reads a chart by keyboard, and picks up the phone."""
    server, admin, port = served
    with ExitStack() as stack:
        driver.get(f"http://operator:{TOKEN}@127.0.0.1:{admin}/")
        find = lambda what: driver.find_element(By.CSS_SELECTOR, what)  # noqa: E731 - it is written once, here
        rows = lambda: driver.find_elements(By.CSS_SELECTOR, "#connections tbody tr")  # noqa: E731
        wait(driver, lambda: find("#state strong").text == "Ready")
        wait(driver, lambda: find("figure svg .grid"))
        assert find("#connections .none").text == "Nobody is connected."

        # Newcomers are seen without a reload, and so is what a guard did.
        peers = [newcomer(stack, port) for _ in range(4)]
        wait(driver, lambda: len(rows()) == 3)
        wait(driver, lambda: "ConnectionLimit" in find("#guards tbody").text)
        wait(driver, lambda: find("#now dd").text == "3")

        # Sorting is a link; it is kept while the page refreshes.
        find("#connections thead .session a").click()
        wait(driver, lambda: "sort=session" in driver.current_url)
        numbers = [int(each.find_element(By.CSS_SELECTOR, "th").text) for each in wait(driver, rows)]
        assert numbers == sorted(numbers)

        # A button asks, cuts, and comes back to where it was.
        rows()[0].find_element(By.CSS_SELECTOR, "button").click()
        alert = wait(driver, lambda: driver.switch_to.alert)
        assert "127.0.0.1" in alert.text
        alert.accept()
        wait(driver, lambda: len(rows()) == 2)
        assert "sort=session" in driver.current_url
        assert [is_reset(each) for each in peers[:1]] == [True]
        assert server.wait_for("cut")[0]["session"] == numbers[0]

        driver.get(f"http://127.0.0.1:{admin}/")
        _by_keyboard(driver, find)
        _looks(driver)
        assert [each["message"] for each in driver.get_log("browser") if each["level"] == "SEVERE"] == []


def test_connections_of_workers_are_cut_by_their_buttons(tmp_path: Path, driver: Any) -> None:
    """As those of one process are."""
    with watched(tmp_path, "--workers", "2") as (_, admin, port), ExitStack() as stack:
        peers = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE, (f"127.0.0.{n}", 0)))
            for n in range(1, 9)
        ]
        driver.get(f"http://operator:{TOKEN}@127.0.0.1:{admin}/?sort=peer")
        buttons = lambda: driver.find_elements(By.CSS_SELECTOR, "#connections tbody button")  # noqa: E731
        wait(driver, lambda: len(buttons()) == 8)
        for peer in peers[:2]:
            wait(driver, lambda: [buttons()[0].click()])  # unless it was another page's by then
            wait(driver, lambda: driver.switch_to.alert).accept()
            peer.recv(1000)
            assert is_reset(peer)
        wait(driver, lambda: len(buttons()) == 6)


def is_reset(peer: socket.socket) -> bool:
    """Whether it ends by an abort."""
    try:
        peer.recv(100)
    except ConnectionResetError:
        return True
    return False


def _by_keyboard(driver: Any, find: Callable[[str], Any]) -> None:
    """The first stop leads past the head; a chart tells what it shows, and reads itself out."""
    webdriver.ActionChains(driver).send_keys(Keys.TAB).perform()
    assert driver.switch_to.active_element.get_attribute("class") == "skip"
    chart = find('figure[data-chart="connections"] svg')
    assert "in the last hour" in chart.get_attribute("aria-label")
    wait(driver, lambda: find("figure svg .line"))
    chart.send_keys(Keys.END)
    wait(driver, lambda: ": " in find("figure output").text)


def _looks(driver: Any) -> None:
    """Nothing is wider than a phone; in light and in darkness all text stands out (WCAG AA)."""
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        for ink, paper in INKS:
            assert contrast(driver, ink, paper) >= 4.5, (scheme, ink)
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    width, height = driver.execute_script(
        "const e = document.documentElement; return [e.scrollWidth, document.querySelector('button').offsetHeight]"
    )
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert width <= PHONE["width"]
    assert height >= 32


def test_without_a_script_it_is_whole(served: tuple[Server, int, int], driver: Any) -> None:
    """The same figures, connections, promises and buttons."""
    _, admin, port = served
    with ExitStack() as stack:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        stack.callback(driver.execute_cdp_cmd, "Emulation.setScriptExecutionDisabled", {"value": False})
        peer = newcomer(stack, port)
        driver.get(f"http://operator:{TOKEN}@127.0.0.1:{admin}/")
        assert "Ready" in driver.page_source
        driver.find_element(By.CSS_SELECTOR, "#connections button").click()
        wait(driver, lambda: driver.find_element(By.CSS_SELECTOR, "#connections .none"))
        assert is_reset(peer)
        driver.find_element(By.CSS_SELECTOR, "summary").click()
        assert driver.find_element(By.CSS_SELECTOR, "details > *:last-child").is_displayed()


def test_a_page_of_somebody_else_s_can_do_nothing(served: tuple[Server, int, int], driver: Any, tmp_path: Path) -> None:
    """It may not frame ours, nor read it, nor have its forms obeyed."""
    _, admin, port = served
    attack = tmp_path / "attack.html"
    target = json.dumps(f"http://127.0.0.1:{admin}")
    attack.write_text(
        f"""<title>?</title><script>
        const target = {target};
        const told = (word) => () => {{ document.title = word; }};
        fetch(target + "/figures.json", {{credentials: "include"}}).then(told("read"), told("refused"));
        function post() {{
          const form = document.createElement("form");
          form.method = "post"; form.action = target + "/cut";
          document.body.append(form); form.submit();
        }}
        </script><body></body>"""
    )
    with ExitStack() as stack:
        newcomer(stack, port)
        driver.get(f"http://operator:{TOKEN}@127.0.0.1:{admin}/")
        wait(driver, lambda: driver.find_element(By.CSS_SELECTOR, "#connections button"))
        driver.get(attack.as_uri())
        wait(driver, lambda: driver.title == "refused")
        driver.execute_script("post()")
        wait(driver, lambda: "this form is not from the page" in driver.page_source)
        driver.get(f"http://127.0.0.1:{admin}/")
        assert len(driver.find_elements(By.CSS_SELECTOR, "#connections tbody tr")) == 1

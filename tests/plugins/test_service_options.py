"""A plugin of an author's own that listens under guards: the example of the pages, as an operator runs it."""

from __future__ import annotations

import shutil
import signal
import socket
from pathlib import Path

import pytest
from twisted.internet.protocol import Factory, Protocol
from twisted.python import usage

from netguard.plugins.service_options import ServiceOptions
from tests.popserver import PATIENCE, Server

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


class Own(ServiceOptions):
    """A plugin that knows where to listen, and has an option of its own."""

    optParameters = [["colour", None, "red", "of what is served"]]  # noqa: RUF012 - as Twisted wants them

    def prepare(self) -> None:
        """Have a taste."""
        if self["colour"] == "beige":
            raise usage.UsageError("--colour beige is none")

    def usual(self) -> list[str]:
        """On loopback."""
        return ["tcp:0:interface=127.0.0.1"]


def parsed(*words: str, kind: type[ServiceOptions] = Own) -> ServiceOptions:
    """Options after parsing."""
    options = kind()
    options.parseOptions(words)
    return options


def test_an_operator_says_where_to_listen_or_the_plugin_knows() -> None:
    """What was said wins; without either, that is the mistake."""
    assert parsed().listens == ["tcp:0:interface=127.0.0.1"]
    assert parsed("--listen", "tcp:1", "--listen", "tls:2", "--tls", "a.pem").listens == ["tcp:1", "tls:2"]
    with pytest.raises(usage.UsageError, match="--listen is missing"):
        parsed(kind=ServiceOptions)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--colour", "beige"), "--colour beige is none"),
        (("one",), "'one' is one word too many"),
        (("--colur", "red"), "did you mean --colour"),
    ],
)
def test_a_mistake_is_one_line(words: tuple[str, ...], said: str) -> None:
    """Of the plugin's own options, too."""
    with pytest.raises(usage.UsageError, match=said):
        parsed(*words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--listen", "tls:0"), "needs a certificate"),
        (("--listen", "tcp:nosuch"), "is not a port"),
        (("--tls", "none.pem"), "No such file"),
    ],
)
def test_what_cannot_be_served_is_one_line(words: tuple[str, ...], said: str) -> None:
    """Found when the service is made."""
    with pytest.raises(usage.UsageError, match=said):
        parsed(*words).serve(Factory.forProtocol(Protocol))


def test_a_service_of_ones_own_has_all_the_rest(tmp_path: Path) -> None:
    """Guards, log, lock, reload and an orderly end, for a plugin of two small files."""
    shutil.copytree(EXAMPLES / "twisted", tmp_path / "twisted", ignore=shutil.ignore_patterns("__pycache__", "*.cache"))
    for name in ("guestbook.py", "guestbook_service.py"):
        shutil.copy(EXAMPLES / name, tmp_path)
    words = ["--listen", "tcp:0:interface=127.0.0.1", "--greeting", "Name?", "--max-per-peer", "1", "--control", "ctl"]
    server = Server.start("--lock", "lock", *words, cwd=tmp_path, service="guestbook")
    try:
        (port,) = server.ports()
        server.wait_for("started")
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as guest:
            assert guest.recv(100) == b"Name?\r\n"
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as another:
                assert another.recv(100) == b""
            server.wait_for("refused")
            assert (tmp_path / "lock").read_text().strip() == str(server.process.pid)
            assert (tmp_path / "ctl").is_socket()
            server.process.send_signal(signal.SIGHUP)
            server.wait_for("reloaded")
        server.wait_for("closed")
        assert server.stop() == 0
        server.wait_for("stopped")
    finally:
        server.process.kill()
        server.process.wait(PATIENCE)

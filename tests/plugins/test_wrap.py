"""`netguard-wrap` runs another plugin as twistd would have run it, with its ports under guards."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, Any

import pytest
from twisted.application import internet
from twisted.application.service import Application, MultiService
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver
from twisted.python import usage
from twisted.scripts import twistd

from netguard.errors import UnknownOption
from netguard.factory import GuardedFactory
from netguard.plugins import wrap
from netguard.plugins.guard_options import GuardOptions
from netguard.plugins.wrap import Options, Stage, find, makeService
from tests import popserver

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Logged


class PluginOptions(usage.Options):
    """The options of a plugin that is wrapped."""

    optParameters = [["port", "p", "8080", "where to listen"]]  # noqa: RUF012 - as Twisted wants them

    def postOptions(self) -> None:
        """As carbon's plugin does it."""
        assert self.parent is not None
        self["program"] = self.parent.subCommand
        self.parent["pidfile"] = "carbon.pid"


class Plugin:
    """A plugin that is wrapped.

    Args:
        make: its makeService.
    """

    tapname = "plugin"

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.makeService = make
        self.options: Any = PluginOptions


def listening(options: Any) -> Any:
    """A service with one port."""
    parent: Any = MultiService()
    port: Any = internet.TCPServer(int(options["port"]), Factory(), reactor=MemoryReactorClock())
    port.setServiceParent(parent)
    return parent


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Plugin:
    """The only plugin there is."""
    plugin = Plugin(listening)
    monkeypatch.setattr(wrap, "getPlugins", lambda _: [plugin])
    return plugin


def under_twistd(*words: str, before: tuple[str, ...] = ()) -> tuple[Options, Any]:
    """Parse the words behind `twistd netguard-wrap`, and before."""
    parent: Any = twistd.ServerOptions()  # type: ignore[attr-defined]
    parent.parseOptions(("--pidfile=", *(before or ("--no_save",))))
    parent.subCommand = "netguard-wrap"
    options = Options()
    options.parent = parent
    options.parseOptions(words)
    return options, parent


def ending(do: Callable[[], object]) -> str:
    """The one line with which twistd ends."""
    with pytest.raises(SystemExit) as caught:
        do()
    line = str(caught.value.code)
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    "words", [("--idle", "30s", "--", "plugin", "-p", "1"), ("--idle", "30s", "plugin", "-p", "1")]
)
def test_the_plugin_gets_its_own_options(words: tuple[str, ...], plugin: Plugin) -> None:
    """What stands behind its name is its own; two dashes before the name are optional."""
    options, _ = under_twistd(*words)
    assert options.maker is plugin
    assert options.inner["port"] == "1"
    assert options.policy.options()["idle"] == "30s"


def test_the_plugin_sees_twistd_as_if_it_had_been_called_directly(plugin: Plugin) -> None:
    """It reads its own name, and what it writes reaches twistd; twistd itself still runs netguard-wrap."""
    options, parent = under_twistd("--", "plugin")
    assert options.inner["program"] == "plugin"
    assert parent["pidfile"] == "carbon.pid"
    assert parent.subCommand == "netguard-wrap"


def test_without_a_twistd_the_plugin_sees_its_defaults(plugin: Plugin) -> None:
    """Whoever parses these options in a program of their own need not have a twistd."""
    options = Options()
    options.parseOptions(["plugin"])
    assert options.inner.parent["nodaemon"] == 0


def test_the_stage_is_a_mapping_that_is_twistds_own() -> None:
    """All that a plugin may do with its parent's options."""
    real: Any = twistd.ServerOptions()  # type: ignore[attr-defined]
    stage = Stage(real, "web", "twistd netguard-wrap")
    stage["umask"] = 0o77
    assert (stage["umask"], real["umask"], stage.get("nothing")) == (0o77, 0o77, None)
    del stage["umask"]
    assert "umask" not in real
    assert dict(stage) == dict(real)
    assert len(stage) == len(real)
    assert stage.opt_reactor == real.opt_reactor
    assert stage.getSynopsis() == "twistd netguard-wrap"
    assert not hasattr(stage, "__wrapped__")
    assert not hasattr(object.__new__(Stage), "subCommand")


def test_the_plugins_own_help_says_how_it_is_called(plugin: Plugin, capsys: pytest.CaptureFixture[str]) -> None:
    """The help of what is wrapped names netguard-wrap before it."""
    with pytest.raises(SystemExit):
        under_twistd("--", "plugin", "--help")
    usage_line = capsys.readouterr().out.splitlines()[0]
    assert usage_line.endswith("netguard-wrap [guard options] [--config FILE] -- plugin [options]")


def test_its_own_help_shows_an_example() -> None:
    """Who reads it can copy a line."""
    text = str(Options())
    assert "twistd netguard-wrap --idle 30s -- web --listen tcp:8080" in text
    assert "--max-per-peer=" in text


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), f"name the plugin to guard, as in: {wrap._EXAMPLE} (see twistd netguard-wrap --help)"),
        (("plugni",), "unknown plugin 'plugni'; did you mean 'plugin'? (see twistd netguard-wrap --help)"),
        (
            ("plugin", "--prot", "1"),
            "plugin: unknown option --prot; did you mean --port? (see twistd plugin --help)",
        ),
        (("plugin", "stray"), "plugin: Wrong number of arguments. (see twistd plugin --help)"),
    ],
)
def test_a_mistake_is_one_line(words: tuple[str, ...], line: str, plugin: Plugin) -> None:
    """Whoever's option it is, and with the name of the help that knows more."""
    assert ending(lambda: under_twistd(*words)) == f"twistd netguard-wrap: {line}"


def test_a_plugin_that_has_guards_is_not_wrapped(plugin: Plugin) -> None:
    """Two sets of options for one port would contradict each other."""
    plugin.options = GuardOptions
    assert ending(lambda: under_twistd("plugin")).startswith(
        "twistd netguard-wrap: plugin has guards of its own: give their options to it"
    )


def test_a_plugin_that_cannot_be_loaded_is_a_mistake(plugin: Plugin) -> None:
    """Its own dependencies may be missing."""

    def missing() -> None:
        raise ModuleNotFoundError("No module named 'bcrypt'")

    plugin.options = missing
    assert ending(lambda: under_twistd("plugin")).startswith(
        "twistd netguard-wrap: plugin cannot be loaded: No module named 'bcrypt'"
    )


def test_plugins_are_found_by_their_names() -> None:
    """As twistd finds them."""
    assert find("web").tapname == "web"
    with pytest.raises(UnknownOption, match=r"^unknown plugin 'wbe'; did you mean 'web'\?$"):
        find("wbe")


def test_the_service_is_the_plugins_own_under_guards(plugin: Plugin, logged: Logged) -> None:
    """Nothing is put around it: it may rely on its place in the application."""
    options, _ = under_twistd("--idle", "30s", "--", "plugin")
    service: Any = makeService(options)
    (port,) = service
    assert isinstance(port.args[1], GuardedFactory)
    assert port.args[1].guards == options.policy.guards
    assert [event["service"] for event in logged.named("guarding")] == ["Factory on TCPServer 8080"]


@pytest.mark.parametrize(
    ("before", "printed"),
    [
        ((), True),
        (("-n",), False),
        (("-n", "--logfile", "-"), False),
        (("-n", "--logfile", "a.log"), True),
        (("-n", "--syslog"), True),
    ],
)
def test_what_is_guarded_is_printed_where_the_terminal_does_not_show_the_log(
    before: tuple[str, ...], printed: bool, plugin: Plugin, capsys: pytest.CaptureFixture[str]
) -> None:
    """The operator sees it in any case, and not twice."""
    options, _ = under_twistd("plugin", before=before)
    makeService(options)
    assert capsys.readouterr().err == ("netguard-wrap guards Factory on TCPServer 8080\n" if printed else "")


def test_what_the_plugin_cannot_make_is_told_in_one_line(plugin: Plugin) -> None:
    """Many plugins find wrong options only when they make their service."""

    def broken(options: object) -> None:
        message = "no such\nendpoint"
        raise ValueError(message)

    plugin.makeService = broken
    options, _ = under_twistd("plugin")
    assert ending(lambda: makeService(options)) == (
        "twistd netguard-wrap: plugin: ValueError: no such endpoint (see twistd plugin --help)"
    )


def test_a_debugged_plugin_shows_its_traceback(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looks for a defect in the plugin asks twistd for it, with --debug."""

    def broken(options: object) -> None:
        raise LookupError

    plugin.makeService = broken
    options, parent = under_twistd("plugin")
    parent["debug"] = True
    with pytest.raises(LookupError):
        makeService(options)


def test_a_tree_without_anything_to_guard_is_a_mistake(plugin: Plugin) -> None:
    """Who asks for guards and gets none must hear of it before anything listens."""
    plugin.makeService = lambda _: internet.UDPServer(53, DatagramProtocol())
    options, _ = under_twistd("plugin")
    assert ending(lambda: makeService(options)).startswith(
        "twistd netguard-wrap: plugin: nothing here can be guarded (does not guard UDPServer: datagrams"
    )
    plugin.makeService = lambda _: MultiService()
    assert "nothing here can be guarded (it has no service that listens)" in ending(lambda: makeService(options))


def test_a_port_that_is_guarded_already_is_a_mistake(plugin: Plugin) -> None:
    """`guard:` in the plugin's own options is told in one line."""
    from twisted.internet.endpoints import serverFromString

    def guarded(options: object) -> Any:
        endpoint = serverFromString(MemoryReactorClock(), "guard:tcp:80")
        return internet.StreamServerEndpointService(endpoint, Factory())

    plugin.makeService = guarded
    options, _ = under_twistd("plugin")
    assert "plugin: StreamServerEndpointService listens under guard: already" in ending(lambda: makeService(options))


def test_the_log_format_comes_along(plugin: Plugin) -> None:
    """The service that twistd gets sets the format when it joins its application."""
    options, _ = under_twistd("--log-format", "json", "--", "plugin", before=("-n",))
    service: Any = makeService(options)
    application: Any = Application("plugin")
    service.setServiceParent(application)
    assert application.getComponent(ILogObserver) is not None


@pytest.mark.parametrize(
    "words",
    [("web", "--listen", "tcp:{port}:interface=127.0.0.1"), ("ftp", "--port", "{port}")],
    ids=lambda each: each[0],
)
def test_a_port_that_another_program_has_ends_the_start_with_one_line(words: tuple[str, ...], tmp_path: Path) -> None:
    """As with netguard's own services: the wrapped plugin would have shown a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        told = (word.format(port=port) for word in words)
        ended = popserver.twistd("-n", "--pidfile=", "netguard-wrap", "--", *told, cwd=tmp_path)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert re.fullmatch(rf"twistd: Couldn't listen on (127\.0\.0\.1|any):{port}: .*Address already in use\.", line)
    assert "Traceback" not in ended.stdout

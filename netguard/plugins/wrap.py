"""``twistd netguard-wrap``: another plugin's service, with every port that it listens on under guards."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
from twisted.python import usage
from twisted.scripts import twistd as _twistd

from netguard.errors import OptionError, UnknownOption
from netguard.plugins.guard_options import GuardOptions, suggesting
from netguard.plugins.serving import Found, Keeper

twistd_options: Callable[[], usage.Options] = _twistd.ServerOptions  # type: ignore[attr-defined]

_EXAMPLE = "twistd netguard-wrap --idle 30s -- web --listen tcp:8080"


class Stage(MutableMapping[str, Any]):
    """What a plugin inside netguard-wrap has for its parent: twistd's options, as if it had been called directly.

    Plugins read ``parent.subCommand`` and write ``parent["pidfile"]``; what they write reaches twistd.

    Args:
        twistd: twistd's options.
        name: the plugin's name on the command line.
        synopsis: what stands before that name.
    """

    def __init__(self, twistd: Any, name: str, synopsis: str) -> None:
        self.twistd = twistd
        self.subCommand = name
        self.subOptions: Any = None
        self.synopsis = synopsis

    def getSynopsis(self) -> str:
        """What stands before the plugin's name, in its own help."""
        return self.synopsis

    def __getattr__(self, name: str) -> Any:
        """Everything else is twistd's."""
        if name.startswith("__") or name == "twistd":
            raise AttributeError(name)
        return getattr(self.twistd, name)

    def __getitem__(self, key: str) -> Any:
        return self.twistd[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.twistd[key] = value

    def __delitem__(self, key: str) -> None:
        del self.twistd[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.twistd)

    def __len__(self) -> int:
        return len(self.twistd)


class Options(GuardOptions):
    """The command line: guards' options, the plugin, the plugin's options.

    Attributes:
        maker: the plugin.
        inner: its options, parsed.
    """

    synopsis = "[guard options] [--config FILE] -- PLUGIN [its options]"
    surface = "guard"
    about = f"""
Runs another twistd plugin and guards every port that it listens on. All its ports share one policy: limits count
them together. What is not guarded (datagrams, connections that it opens itself) is named at the start.

  {_EXAMPLE}
  twistd -n netguard-wrap --max-per-peer 5 -- ftp --root /srv/ftp
"""
    maker: Any
    inner: Any

    def __init__(self) -> None:
        self.words: tuple[str, ...] = ()
        super().__init__()

    def parseArgs(self, *words: str) -> None:
        """Keep the plugin's name and its options for later, since Twisted hides every TypeError in here."""
        self.words = words

    def postOptions(self) -> None:
        """Make the policy, find the plugin, and let it parse its own options."""
        super().postOptions()
        if self.config.listeners:
            raise usage.UsageError(
                "--config: [listeners] is for services of netguard's own; all ports of a wrapped plugin have one policy"
            )
        if not self.words:
            raise usage.UsageError(f"name the plugin to guard, as in: {_EXAMPLE}")
        name, *rest = self.words
        self.maker = find(name)
        try:
            self.inner = self.maker.options()
        except ImportError as why:
            self.fail(f"{name} cannot be loaded: {why}")
        if isinstance(self.inner, GuardOptions):
            raise usage.UsageError(f"{name} has guards of its own: give their options to it")
        parent = twistd_options() if self.parent is None else self.parent
        self.inner.parent = stage = Stage(parent, name, f"{self.getSynopsis().partition(' -- ')[0]} --")
        stage.subOptions = self.inner
        try:
            self.inner.parseOptions(rest)
        except usage.UsageError as why:
            self.fail(f"{name}: {suggesting(str(why), self.inner)}", see=name)


def find(name: str) -> Any:
    """The plugin of that name.

    Args:
        name: what would stand behind ``twistd``.

    Raises:
        UnknownOption: there is none.
    """
    makers = {maker.tapname: maker for maker in getPlugins(IServiceMaker)}
    if name not in makers:
        raise UnknownOption(name, makers, "plugin")
    return makers[name]


def makeService(options: Options) -> Any:
    """The plugin's own service, with its ports under guards.

    Args:
        options: the parsed command line.

    Raises:
        SystemExit: with one line, when the plugin cannot make its service, or there is nothing in it to guard.
    """
    name = options.maker.tapname
    try:
        service = options.maker.makeService(options.inner)
    except Exception as why:
        if options.inner.parent.get("debug"):
            raise
        options.fail(f"{name}: {type(why).__name__}: {why}", see=name)
    try:
        keeper = Keeper(options.policy, verbose=bool(options["verbose"]))
        found = keeper.guard(service)
    except OptionError as why:
        options.fail(f"{name}: {why}")
    if all(each.reason is not None for each in found):
        seen = "; ".join(map(str, found)) or "it has no service that listens"
        options.fail(f"{name}: nothing here can be guarded ({seen})")
    if options.member is None:  # a worker's parent has said it
        _say(found, options.inner.parent)
    return options.equip(service, keeper.house)


def _say(found: list[Found], parent: Mapping[str, Any]) -> None:
    """Into the log, and on the terminal unless that shows the log."""
    for each in found:
        each.tell()
    foreground = parent["nodaemon"] or parent["debug"]
    if not foreground or parent["logfile"] not in (None, "-") or parent["logger"] or parent["syslog"]:
        sys.stderr.writelines(f"netguard-wrap {each}\n" for each in found)

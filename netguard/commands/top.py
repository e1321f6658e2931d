"""`netguard top`: a running service, live on a terminal."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from twisted.python.reflect import namedAny

from netguard.commands.contract import Refusal
from netguard.commands.keyboard import Keyboard
from netguard.commands.top_model import SORTS, Model
from netguard.process.commands import ControlError
from netguard.process.control_client import ControlClient
from netguard.units import duration

NAME = "top"
SUMMARY = "watch a running service on the terminal"

_DESCRIPTION = """\
Show a running service, live: its connections with their rates, who is refused and cut by which guard, and how busy it
is. It asks the socket that the service was given with --control. Keys stand at the bottom: sort, search, select, cut.
Needs rich (pip install 'netguard[top]').
"""

_EXAMPLES = """\
examples:
  netguard top /run/netguard-pop/control
  netguard top /run/netguard-pop/control --every 500ms --sort queued
  NO_COLOR=1 netguard top /run/netguard-pop/control
"""

_SORT = f"by what to sort: {', '.join(SORTS)} (default: {SORTS[0]})"


def _every(text: str) -> float:
    try:
        return float(duration(text))
    except ValueError as why:
        raise argparse.ArgumentTypeError(str(why)) from None


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `netguard top`."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    parser.add_argument("socket", metavar="SOCKET", help="the service's control socket")
    parser.add_argument("--every", metavar="DURATION", type=_every, default=2.0, help="how often to look (default: 2s)")
    parser.add_argument("--sort", choices=SORTS, metavar="KEY", default=SORTS[0], help=_SORT)


def run(arguments: argparse.Namespace) -> None:
    """Watch, until q is pressed."""
    if find_spec("rich") is None:
        raise Refusal("it needs rich: pip install 'netguard[top]'")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Refusal("it needs a terminal; 'netguard ctl SOCKET status' does not")
    watcher = Watcher(arguments.socket, Model(sort=arguments.sort))
    try:
        watcher.look(_height())
        namedAny("netguard.commands.top_screen.show")(
            watcher.model, lambda drawn: _loop(watcher, arguments.every, drawn)
        )
    except ControlError as why:
        raise Refusal(str(why)) from None
    finally:
        watcher.close()


def _height() -> int:
    return os.get_terminal_size().lines


class Watcher:
    """Asks a service again and again; one that is away is asked until it is back.

    Args:
        path: its control socket.
        model: what takes the answers.
    """

    def __init__(self, path: str, model: Model) -> None:
        self.model = model
        self._path = path
        self._client: ControlClient | None = None

    def look(self, most: int) -> None:
        """Ask for everything once.

        Args:
            most: how many connections there is room for.

        Raises:
            ControlError: there is no answer.
        """
        try:
            client = self._client = self._client or ControlClient(self._path)
            status = client.ask(["status"])
            self.model.take(status, client.ask(self.model.question(most)), time.monotonic())
        except ControlError:
            self.close()
            raise

    def cut(self, session: int) -> None:
        """Cut a connection, and say what came of it."""
        try:
            client = self._client = self._client or ControlClient(self._path)
            client.ask(["cut", str(session)])
            self.model.message = f"session {session} is cut"
        except ControlError as why:
            self.model.message = str(why)

    def close(self) -> None:
        """Ask no more."""
        if self._client is not None:
            self._client.close()
            self._client = None


def _loop(watcher: Watcher, every: float, draw: Callable[[], Any]) -> None:
    """Keys at once, figures now and then."""
    model = watcher.model
    due = time.monotonic() + every
    with Keyboard(sys.stdin.fileno()) as keyboard:
        while not model.over:
            draw()
            before = model.sort, model.match
            try:
                pressed = keyboard.wait(due - time.monotonic())
            except EOFError:
                return
            for key in pressed:
                _press(watcher, key)
            if (model.sort, model.match) != before or (not model.paused and time.monotonic() >= due):
                _look(watcher)
            if time.monotonic() >= due:
                due = time.monotonic() + every


def _press(watcher: Watcher, key: str) -> None:
    model = watcher.model
    session = model.cutting
    model.press(key)
    if session is not None and key == "y":
        model.cutting = None
        watcher.cut(session)


def _look(watcher: Watcher) -> None:
    try:
        watcher.look(_height())
        if watcher.model.message.startswith("no answer: "):
            watcher.model.message = ""
    except ControlError as why:
        watcher.model.message = f"no answer: {why}"

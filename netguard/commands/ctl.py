"""`netguard ctl`: ask a running service, and have it do things."""

from __future__ import annotations

import argparse
import json
import sys

from netguard.commands.contract import Refusal
from netguard.commands.shown import lines
from netguard.process.commands import ControlError
from netguard.process.control_client import ControlClient

NAME = "ctl"
SUMMARY = "control a running service by its control socket"

_DESCRIPTION = """\
Give a command to a running service, by the socket that it was given with --control, and show its answer. The service
itself says which commands there are: 'netguard ctl SOCKET help'.
"""

_EXAMPLES = """\
examples:
  netguard ctl /run/netguard-pop/control status
  netguard ctl /run/netguard-pop/control connections sort=queued most=10
  netguard ctl /run/netguard-pop/control cut 4711
  netguard ctl /run/netguard-pop/control limits set max-per-peer 5
  netguard ctl /run/netguard-pop/control heartbeat on 10s
  netguard ctl --json /run/netguard-pop/control events refused cut

exit status: 0 when it was done, 1 when it was not, or nobody answers.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `netguard ctl`."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    parser.add_argument("--json", action="store_true", help="write the answer as it comes, for programs")
    parser.add_argument("socket", metavar="SOCKET", help="the service's control socket")
    parser.add_argument("words", metavar="COMMAND", nargs="+", help="a command and its arguments")


def run(arguments: argparse.Namespace) -> None:
    """Give the command."""
    words = arguments.words
    try:
        with ControlClient(arguments.socket) as client:
            if words[0] == "events":
                for event in client.watch(words):
                    _write(json.dumps(event) if arguments.json else _told(event))
            else:
                answer = client.ask(words)
                _write(*([json.dumps(answer)] if arguments.json else lines(answer)))
    except ControlError as why:
        raise Refusal(str(why)) from None


def _told(event: dict[str, object]) -> str:
    """One event, as a line of a log; what was lost has no more than its count."""
    if "message" not in event:
        return " ".join(f"{key}={value}" for key, value in event.items())
    return f"{event.get('time', '-')} {event['message']}"


def _write(*several: str) -> None:
    """Write lines, so that who reads them has them at once."""
    sys.stdout.writelines(f"{line}\n" for line in several)
    sys.stdout.flush()

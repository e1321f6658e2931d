"""`netguard explain`: what would become of a peer, and which guard and option would decide it."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from netguard.commands.contract import Refusal
from netguard.commands.guard_arguments import add_guard_arguments, policy_of
from netguard.errors import OptionError
from netguard.explanation import Answer, Explanation, Supposed, explain
from netguard.load.signals import NAMES
from netguard.load.thresholds import UNITS, readings
from netguard.rule import Name, subject_of
from netguard.units import port as port_unit
from netguard.verdict import Failure, Mismatch, NoName, Timeout, Verified, word

NAME = "explain"
SUMMARY = "tell what the guards would do with a peer, and why"

VERDICTS: dict[str, Any] = {
    "UNKNOWN": NoName(),
    "PARANOID": Mismatch(()),
    "TIMEOUT": Timeout(),
    "FAILURE": Failure(2),
}
"""The words that ``--name`` takes for verdicts without a name."""

_DESCRIPTION = """\
Tell what would become of a peer that connects: each guard in the order in which it is asked, its decision, and the
option that decides. The guards' own code is asked, on a clock that stands; nothing connects, and nothing listens.
Every option of the guards that the services have can be given here; 'netguard check' and 'twistd netguard-pop --help'
list them.
"""

_EXAMPLES = """\
examples:
  netguard explain --from 192.0.2.7
  netguard explain --config pop.toml --from 192.0.2.7 --connections 20
  netguard explain --allow 10.0.0.0/8 --proxy-from 192.0.2.1 \\
      --from 192.0.2.1 --claimed 10.1.2.3
  netguard explain --shed 'lag>250ms' --load lag=300ms --from 2001:db8::1 --json
  netguard explain --deny PARANOID --from 192.0.2.7 --name PARANOID

exit status: 0 when the peer would be admitted, 1 for a mistake, 2 when it would be refused, 3 when it would be
waited for.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `netguard explain`."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "--from",
        dest="peer",
        metavar="ADDRESS[:PORT]",
        required=True,
        type=_address,
        help="the peer's address; an IPv6 address with a port stands in brackets",
    )
    parser.add_argument(
        "--claimed", metavar="ADDRESS[:PORT]", type=_address, help="the address that a PROXY header in front names"
    )
    parser.add_argument(
        "--name", metavar="NAME", type=_verdict, help=f"the peer's verified name, or {', '.join(VERDICTS)}"
    )
    parser.add_argument(
        "--connections",
        metavar="N",
        type=_count,
        default=0,
        help="how many connections the peer has already (default: 0)",
    )
    parser.add_argument(
        "--load",
        metavar="SIGNAL=FIGURE,...",
        type=_readings,
        action="append",
        default=[],
        help=f"a reading, such as lag=300ms; of {', '.join(NAMES)}".replace("%", "%%"),
    )
    parser.add_argument("--json", action="store_true", help="write JSON, for programs")
    add_guard_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask the guards, and show what they say."""
    host, port = arguments.peer
    supposed = Supposed(
        host,
        port or Supposed(host).port,
        arguments.claimed,
        arguments.name,
        arguments.connections,
        {signal: figure for each in arguments.load for signal, figure in each.items()},
    )
    try:
        explanation = explain(policy_of(arguments), supposed)
    except OptionError as why:
        raise Refusal(str(why)) from None
    (_as_json if arguments.json else _as_text)(supposed, explanation)
    return _STATUSES[explanation.verdict]


def _supposed(supposed: Supposed) -> Iterator[tuple[str, str]]:
    """What else was supposed of the peer and of the service."""
    if supposed.claimed is not None:
        yield "claimed", supposed.claimed[0]
    if supposed.name is not None:
        yield "name", supposed.name.name if isinstance(supposed.name, Verified) else word(supposed.name)
    if supposed.connections:
        yield "connections", str(supposed.connections)
    for signal, figure in supposed.load.items():
        yield signal, "0" if not figure else UNITS[signal].text(figure)


_STATUSES = {"admitted": 0, "refused": 2, "waits": 3}


def _as_json(supposed: Supposed, explanation: Explanation) -> None:
    document = {
        "from": supposed.host,
        "port": supposed.port,
        "supposed": dict(_supposed(supposed)),
        "guards": [
            {"guard": each.guard, "outcome": each.outcome, "options": each.options, **_why(each)}
            for each in explanation.answers
        ],
        "verdict": explanation.verdict,
        "reason": None if explanation.reason is None else str(explanation.reason),
    }
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def _why(answer: Answer) -> dict[str, str | None]:
    """What decided, for an answer that refuses."""
    if answer.reason is None:
        return {}
    about = {"option": answer.decider, "limit": answer.fact("limit"), "observed": answer.fact("observed")}
    return {**about, "reason": str(answer.reason)}


def _as_text(supposed: Supposed, explanation: Explanation) -> None:
    about = "".join(f", {what} {value}" for what, value in _supposed(supposed))
    sys.stdout.write(f"a connection from {supposed.host}, port {supposed.port}{about}:\n")
    width = max((len(each.guard) for each in explanation.answers), default=0)
    for each in explanation.answers:
        told = ", ".join(f"{flag} {value}" for flag, value in each.options.items())
        told = told if each.reason is None else str(each.reason)
        sys.stdout.write(f"  {each.guard:{width}}  {each.outcome:12}  {told}\n".rstrip(" "))
    reason = "" if explanation.reason is None else f": {explanation.reason}"
    waits = f": for {_awaited(explanation)}" if explanation.verdict == "waits" else ""
    sys.stdout.write(f"{explanation.verdict}{waits}{reason}\n")


def _awaited(explanation: Explanation) -> str:
    """What would be waited for, and which argument says what comes."""
    if explanation.answers[-1].guard == "ProxyProtocol":
        return "a PROXY header (--claimed says whom it names)"
    return "what a look-up finds (--name says that)"


_ADDRESS = re.compile(r"\[([^\]]*)\](?::(.*))?|([^:]*)(?::([^:]*))?")


def _address(text: str) -> tuple[str, int]:
    """An address, and a port or 0."""
    match = None if text.count(":") > 1 and "[" not in text else _ADDRESS.fullmatch(text)
    host, port = text, None
    if match is not None:
        host, port = (match[1], match[2]) if match[3] is None else (match[3], match[4])
    try:
        return str(ip_address(host)), port_unit(port) if port is not None else 0
    except ValueError:
        message = f"{text[:60]!r} is no address, such as 192.0.2.7, 192.0.2.7:4711 or [2001:db8::1]:4711"
        raise argparse.ArgumentTypeError(message) from None


def _verdict(text: str) -> Any:
    """A verdict by its word, or the verified name."""
    if text.upper() in VERDICTS:
        return VERDICTS[text.upper()]
    try:
        what = subject_of(text)
    except ValueError:
        what = None
    if not isinstance(what, Name) or what.below:
        message = f"{text[:60]!r} is neither a host name nor one of {', '.join(VERDICTS)}"
        raise argparse.ArgumentTypeError(message)
    return Verified(what.name)


def _count(text: str) -> int:
    if not re.fullmatch("[0-9]{1,6}", text):
        message = f"{text[:60]!r} is not a number of connections"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _readings(text: str) -> dict[str, float]:
    try:
        return readings(text)
    except OptionError as why:
        raise argparse.ArgumentTypeError(str(why)) from None

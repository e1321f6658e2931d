"""`netguard lookup`: the verified name of an address, how it was found out, and how long that took."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.python.failure import Failure as Failed

from netguard.clients.names import Explanation, VerifiedResolver
from netguard.clients.names_chain import Step, code_text
from netguard.clients.names_text import address, in_letters
from netguard.clients.socks import through
from netguard.nameservers import nameservers
from netguard.proxy_url import proxy, proxy_of
from netguard.units import duration
from netguard.verdict import Failure, Mismatch, NoName, Timeout, Verdict, Verified, word

NAME = "lookup"
SUMMARY = "look up the verified name of an address"

_DESCRIPTION = """\
Look up the name of an address as the guards do: the names that it has in the DNS, and of each of them the addresses. A
name counts only if the address is among these. The hosts file comes first, as everywhere on the machine.
"""

_EXAMPLES = """\
examples:
  netguard lookup 192.0.2.7
  netguard lookup 2001:db8::1 --dns 127.0.0.1:5353 --within 1s --json
  ALL_PROXY=socks5h://127.0.0.1:9050 \\
      netguard lookup 192.0.2.7 --dns 192.0.2.53 --proxy env

exit status: 0 for a verified name, 1 for a mistake, 2 when the address has none, 3 when that could not be found out.
"""

_STATUSES = {Verified: 0, NoName: 2, Mismatch: 2, Timeout: 3, Failure: 3}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `netguard lookup`."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    parser.add_argument("address", metavar="ADDRESS", type=_address, help="an IPv4 or IPv6 address")
    parser.add_argument(
        "--dns",
        metavar="SERVER[:PORT]",
        type=_converted(nameservers),
        help="the name server to ask, or several with commas (default: those of /etc/resolv.conf)",
    )
    parser.add_argument(
        "--within", metavar="DURATION", type=_converted(duration), default=3.0, help="give up after this (default: 3s)"
    )
    parser.add_argument(
        "--proxy",
        metavar="URL",
        type=_converted(proxy),
        help="ask over TCP through a proxy: socks5h://HOST:PORT, or 'env' for the one in ALL_PROXY",
    )
    parser.add_argument("--json", action="store_true", help="write JSON, for programs")


def run(arguments: argparse.Namespace) -> int:
    """Look the name up, and show how it was found out."""
    from twisted.internet import reactor

    explanation = _run_until(reactor, partial(look_up, reactor, arguments))
    (_as_json if arguments.json else _as_text)(arguments.address, explanation)
    return _STATUSES[type(explanation.verdict)]


def look_up(reactor: Any, arguments: argparse.Namespace) -> Deferred[Explanation]:
    """The look-up that the arguments ask for.

    Args:
        reactor: what to look up with.
        arguments: as they were typed.
    """
    connect = arguments.proxy and through(reactor, proxy_of(arguments.proxy), arguments.within)
    return VerifiedResolver(reactor, arguments.dns, arguments.within, connect=connect).explain(arguments.address)


def _run_until(reactor: Any, begin: Callable[[], Deferred[Explanation]]) -> Explanation:
    """Run the reactor, and in it something until that has a result."""
    results: list[Explanation | Failed] = []

    def work() -> None:
        doing = maybeDeferred(begin)
        reactor.addSystemEventTrigger("before", "shutdown", doing.cancel)
        doing.addBoth(finish)

    def finish(result: Explanation | Failed) -> None:
        results.append(result)
        if not interrupted(result):
            reactor.stop()

    def interrupted(result: object) -> bool:
        return isinstance(result, Failed) and result.check(CancelledError) is not None

    # Only the reactor that runs already knows what an interrupt is: before, it would get lost.
    reactor.callWhenRunning(reactor.callLater, 0, work)
    reactor.run()
    if not results or interrupted(results[0]):
        raise KeyboardInterrupt
    (result,) = results
    if isinstance(result, Failed):
        result.raiseException()
    return result


def _as_json(asked: str, explanation: Explanation) -> None:
    verdict = explanation.verdict
    document = {
        "address": asked,
        "verdict": word(verdict),
        "name": getattr(verdict, "name", None),
        "names": list(getattr(verdict, "names", ())),
        "rcode": getattr(verdict, "rcode", None),
        "seconds": explanation.seconds,
        "chain": [
            {
                "name": each.name,
                "type": each.kind,
                "outcome": each.outcome,
                "answers": list(each.answers),
                "server": each.server,
                "over": each.over,
                "seconds": each.seconds,
            }
            for each in explanation.chain
        ],
    }
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def _as_text(asked: str, explanation: Explanation) -> None:
    sys.stdout.write(f"{asked}: {_sentence(explanation.verdict)}, after {_milliseconds(explanation.seconds)}\n")
    for step in explanation.chain:
        sys.stdout.write(f"  {_asked(step)}\n")
        for answer in step.answers:
            sys.stdout.write(f"    {answer}\n")


def _sentence(verdict: Verdict) -> str:
    if isinstance(verdict, Verified):
        letters = in_letters(verdict.name)
        return f"verified, {verdict.name}" + ("" if letters is None else f" ({letters})")
    if isinstance(verdict, Mismatch):
        names = ", ".join(verdict.names)
        return "mismatch, " + (f"none of {names} has this address" if names else "all its names are no host names")
    if isinstance(verdict, Failure):
        code = verdict.rcode
        return "failure, " + ("no usable answer came" if code is None else f"the name servers say {code_text(code)}")
    return "no name" if isinstance(verdict, NoName) else "timeout, nobody answered in time"


def _asked(step: Step) -> str:
    where = "" if step.server == "-" else f" by {step.server}" + ("" if step.over == "file" else f" over {step.over}")
    return f"{step.kind} of {step.name}: {step.outcome}{where}, {_milliseconds(step.seconds)}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def _address(text: str) -> str:
    if address(text) is None:
        message = f"{text[:60]!a} is not an IP address"
        raise argparse.ArgumentTypeError(message)
    return text


def _converted(unit: Any) -> Any:
    """A unit as argparse has it: its complaint is what the person reads."""

    def convert(text: str) -> Any:
        try:
            return unit(text)
        except ValueError as why:
            raise argparse.ArgumentTypeError(str(why)) from None

    return convert

"""The seventeen promises, in words, and by which options a configuration keeps each.

docs/promises.md has its words from here, and the status page shows them beside the options that are on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from attrs import field, frozen

POP, WRAP = "pop", "guard"
"""Whose defaults hold, as options have it: netguard-pop's, or those of netguard-wrap."""


@frozen
class Promise:
    """One of them.

    Args:
        number: by which it is known.
        title: in a few words.
        text: the rest of it, which may begin in the middle of the sentence that the title began.
        options: guards' options that keep it, the more of them the better.
        settings: other options of a service that do.
        always: what of it holds whatever the options are, by whose defaults hold.
    """

    number: int
    title: str
    text: str
    options: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    always: Mapping[str, str] = field(factory=dict)


def _both(text: str) -> Mapping[str, str]:
    return {POP: text, WRAP: text}


PROMISES = (
    Promise(
        1,
        "Ports by name.",
        " Every port option takes a service name or a number; an unknown name and a number outside 0–65535 are clear"  # noqa: RUF001 - a range
        " errors; port 0 prints the real port.",
        always=_both("every port option"),
    ),
    Promise(
        2,
        "A privileged source port proves nothing.",
        " No rule can grant by it.",
        options=("privileged-port",),
        always=_both("rules know no ports"),
    ),
    Promise(
        3,
        "A source address proves nothing.",
        " Claimed and seen addresses are kept apart; a claim counts only from listed networks; nothing authenticates by"
        " address.",
        options=("proxy-from",),
        always=_both("nothing authenticates by address"),
    ),
    Promise(
        4,
        "Verified reverse DNS.",
        " Only a name that resolves back counts; no name, mismatch, timeout and failure are told apart; hostile answers"
        " are bounded.",
        options=("names", "rules", "access"),
    ),
    Promise(
        5,
        "Load shedding.",
        " Total, for each peer, each second; and by load.",
        options=(
            *("max-connections", "max-per-peer", "connect-rate", "connect-rate-per-peer", "shed", "shed-limit"),
            *("penalty", "rate-in", "rate-out"),
        ),
    ),
    Promise(
        6,
        "A time limit on every read",
        ": first byte, handshake, login, silence, minimum rate, lifetime.",
        options=("first-byte", "handshake", "login", "idle", "min-rate-in", "lifetime"),
    ),
    Promise(
        7,
        "A time limit on every write",
        ": a peer that does not take what is queued for it is cut, by an abort.",
        options=("write-stall", "min-rate-out"),
    ),
    Promise(
        8,
        "No assumption about content.",
        " Random bytes get a defined answer, never a traceback, are never reflected, never stand raw in a log.",
        always={POP: "the server, the guards and the log", WRAP: "the guards and the log"},
    ),
    Promise(
        9,
        "No assumption about amount.",
        " Each item, connection, queue and answer is bounded.",
        options=("max-in", "max-out", "max-item", "max-queue"),
        always={POP: "commands, and whatever is asked of others", WRAP: "whatever is asked of others"},
    ),
    Promise(10, "Ident", " client, bounded and timed, its answer a claim.", options=("ident",)),
    Promise(
        11,
        "No reusable password in clear.",
        "",
        always={POP: "SCRAM, APOP and one-time passwords in clear; passwords inside TLS only"},
    ),
    Promise(12, "Session encryption", " by TLS, no cryptography of our own.", settings=("tls",)),
    Promise(
        13,
        "Proxies",
        ": client endpoints through SOCKS 4, 4a and 5; PROXY protocol on the way in.",
        options=("proxy-from", "dns-proxy"),
    ),
    Promise(
        14,
        "Logging",
        " of connections, disconnects, rejects, errors, format problems: structured, injection-safe, flood-safe.",
        settings=("log-format",),
        always=_both("every connection's end, and every refusal"),
    ),
    Promise(
        15,
        "Graceful shutdown",
        " on SIGTERM: stop accepting, tell the protocols, drain, abort at a deadline.",
        settings=("drain",),
    ),
    Promise(16, "Heartbeat", " with cumulative figures, switched at run time.", settings=("heartbeat",)),
    Promise(17, "One instance", ": a lock that dies with its process.", settings=("lock",)),
)


@frozen
class Kept:
    """How a configuration keeps a promise.

    Args:
        promise: which.
        always: what of it holds whatever the options are; empty where nothing does.
        by: the options that are on, and their values.
        observed: those whose guards only report what they would have done.
        more: the options that would keep more of it.
    """

    promise: Promise
    always: str
    by: Mapping[str, str]
    observed: Mapping[str, str]
    more: tuple[str, ...]

    @property
    def is_kept(self) -> bool:
        """Whether anything of it is."""
        return bool(self.always or self.by)


def kept(
    options: Mapping[str, str], settings: Mapping[str, str], surface: str, observed: Collection[str] = ()
) -> tuple[Kept, ...]:
    """How a configuration keeps each promise.

    Args:
        options: the guards' options that are on, with their values.
        settings: the other options that are on, likewise.
        surface: whose defaults hold.
        observed: of the options those whose guards only observe, which keeps nothing.
    """
    on = {**options, **settings}
    found = []
    for each in PROMISES:
        names = (*each.options, *each.settings)
        by = {name: on[name] for name in names if name in on and name not in observed}
        watched = {name: on[name] for name in names if name in on and name in observed}
        more = tuple(name for name in names if name not in on)
        found.append(Kept(each, each.always.get(surface, ""), by, watched, more))
    return tuple(found)

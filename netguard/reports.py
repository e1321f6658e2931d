"""The events of connections, as a factory tells them: who, how long, how much, why."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from OpenSSL import SSL
from twisted.internet.error import ConnectionDone
from twisted.internet.main import CONNECTION_DONE

from netguard.errors import Reason
from netguard.events import DETAILS, emit
from netguard.figures import Figures
from netguard.peer import unmapped
from netguard.sampler import Sampler
from netguard.tls_failure import is_no_tls, words
from netguard.verdict import Verified, word
from netguard.wire.ident import IdentError, NoReply, UserId

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from netguard.facts import Facts
    from netguard.peer import Known


_CLOSED_CLEANLY = str(ConnectionDone())
"""The commonest reason: to have its text made anew would cost as much as the rest of the event."""


class Reports:
    """Tells the life of connections; samples what a flood could make too much of.

    Args:
        seconds: a monotonic clock.
        figures: where to count what is told.
        verbose: whether to tell the events of level debug, too.
    """

    def __init__(self, seconds: Callable[[], float], figures: Figures, *, verbose: bool = True) -> None:
        self.sampler = Sampler(seconds)
        self.figures = figures
        self.verbose = verbose
        self._would = (0, "")

    def tell(self, connection: Facts, name: str, reason: BaseException | None = None, **about: object) -> None:
        """Tell an event.

        Args:
            connection: whose life it is.
            name: a word of the vocabulary.
            reason: why, for those events that have a why.
            about: more fields.
        """
        if name in DETAILS and not self.verbose:
            return
        fields = who(connection) | about
        if reason is not None:
            fields |= why(reason)
        if connection.known is not None:
            fields |= claims(connection.known)
        if name == "would_refuse":
            before, self._would = self._would, (connection.number, str(fields.get("guard")))
            if self._would == before:
                return  # a guard that had refused would not have been asked again
        if name.startswith("would_"):
            self.figures.would[name, str(fields.get("guard"))] += 1
            self.sampler.emit(name, f"{name} {fields.get('guard')}", fields)
        else:
            emit(name, fields)

    def last(self, connection: Facts, reason: Failure | None) -> None:
        """Tell the one last event of a connection; a flood of refusals is sampled, with exact counts.

        Args:
            connection: whose life is over.
            reason: why the transport is gone; None when there was none.
        """
        ours, fields, figures = connection.reason, who(connection), self.figures
        received, sent = connection.meter.received, connection.meter.sent
        figures.bytes_in += received
        figures.bytes_out += sent
        if ours is not None and connection.state == "refused":
            figures.refused[type(ours)] += 1
            self.sampler.emit("refused", type(ours).__name__, lambda: fields | why(ours))
            return
        fields["duration"] = round(connection.age, 3)
        fields["bytes_in"] = received
        fields["bytes_out"] = sent
        cause = ours if ours is not None or reason is None else reason.value
        if cause is CONNECTION_DONE or (type(cause) is ConnectionDone and not cause.args):
            fields["reason"] = _CLOSED_CLEANLY
        elif cause is not None:
            fields |= why(cause)
            if is_no_tls(cause):
                # Of the client's, or put in its way to be obeyed as if it had come through TLS.
                emit("malformed", who(connection) | {"problem": "no TLS came where TLS should begin"})
        if connection.known is not None:
            fields |= claims(connection.known)
        if ours is None:
            figures.closed += 1
            emit("closed", fields)
        else:
            figures.cut[type(ours)] += 1
            emit("cut", fields)

    def turned_away(self, host: str, port: int, number: int, reason: Reason) -> None:
        """Tell that a connection was refused for which nothing was made.

        Args:
            host: the peer's, as its socket has it.
            port: the peer's.
            number: the session's.
            reason: why.
        """
        kind = type(reason)
        self.figures.refused[kind] += 1
        self.sampler.emit("refused", kind.__name__, partial(_of_nobody, host, port, number, reason))


def _of_nobody(host: str, port: int, number: int, reason: Reason) -> dict[str, object]:
    return {"client.address": unmapped(host), "client.port": port, "session": number} | why(reason)


def who(connection: Facts) -> dict[str, object]:
    """The fields that name a connection, by OpenTelemetry's names."""
    host = connection.host
    if host is None:
        about: dict[str, object] = {"client.address": connection.address_kind, "session": connection.number}
    else:
        about = {"client.address": host, "client.port": connection.port, "session": connection.number}
    return about if connection.known is None else about | _also(connection.known)


def _also(known: Known) -> dict[str, object]:
    """The socket's own address, where another one counts."""
    seen, about = known.seen, dict[str, object]()
    if known.claimed is not None:
        host = getattr(seen, "host", None)
        about["network.peer.address"] = "unix" if host is None else host
        if host is not None:
            about["network.peer.port"] = getattr(seen, "port", 0)
    if known.name is not None:
        about["client.name.verdict"] = word(known.name)
        if isinstance(known.name, Verified):
            about["client.name"] = known.name.name
    if known.privileged:
        about["client.privileged"] = "yes"
    about.update(known.notes)
    return about


def claims(known: Known) -> dict[str, object]:
    """What the peer's ident server claims, or why it does not; last in the line, for the text is anybody's."""
    reply = known.ident
    if reply is None:  # nobody asked
        return {}
    if isinstance(reply, UserId):
        return {"client.ident": "claim", "client.ident.claim": reply.user}
    if isinstance(reply, IdentError):
        return {"client.ident": reply.token}
    return {"client.ident": reply.why.value} if isinstance(reply, NoReply) else {}


def why(reason: BaseException) -> dict[str, object]:
    """The fields that give a reason: for those of ours, the guard, the option, the limit and what was observed."""
    if isinstance(reason, SSL.Error):
        return {"reason": f"TLS failed: {words(reason)}"}
    text = str(reason) or type(reason).__name__
    if not isinstance(reason, Reason):
        return {"reason": text}
    about: dict[str, object] = {"guard": reason.guard, "option": reason.option}
    for name in ("limit", "observed"):
        value = getattr(reason, name)
        about[name] = None if value is None else reason.unit.text(value)
    return {key: value for key, value in about.items() if value} | {"reason": text}

"""The engine: Redis from 6.2 on, or Valkey. Its keys begin with ``netguard:`` and the name of the fleet.

``netguard:NAME:machines`` is the set of machines; ``netguard:NAME:news:MACHINE`` a stream, the last news of one; and
``netguard:NAME:state:MACHINE`` a string, what is so there. All of them expire.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from netguard.fleet.entries import is_position
from netguard.fleet.ledger import AT_ONCE, KEPT, MACHINES, Answer, LedgerError, Letter
from netguard.fleet.redis_link import Link
from netguard.fleet.redis_tls import client_tls
from netguard.tls_failure import words

if TYPE_CHECKING:
    from netguard.fleet.redis_url import RedisURL
    from netguard.wire.resp import Reply

PATIENCE = 5.0
"""Seconds that a connection may take."""
_SET_LEASES = 8
"""The set of machines lives longer than any of them."""


class RedisLedger:
    """A ledger in Redis.

    Args:
        url: where, and as whom.
        reactor: the reactor.

    Raises:
        OptionError: a file that the URL names cannot be used.
    """

    def __init__(self, url: RedisURL, reactor: Any) -> None:
        self.name = str(url)
        self._url = url
        endpoint: Any = HostnameEndpoint(reactor, url.host, url.port, timeout=PATIENCE)
        self._endpoint: Any = (
            wrapClientTLS(client_tls(url.host, url.ca, url.certificate), endpoint) if url.tls else endpoint
        )
        self._link: Link | None = None
        self._connecting: Deferred[Any] | None = None

    def exchange(self, letter: Letter) -> Deferred[Answer]:
        """As :meth:`netguard.fleet.ledger.Engine.exchange`."""
        commands = [*self._commands(letter)]
        if self._link is not None:
            return self._link.ask(commands).addCallback(_answer, letter)
        self._connecting = connecting = self._endpoint.connect(Factory.forProtocol(Link))

        def connected(link: Link) -> Deferred[list[Reply]]:
            self._connecting, self._link = None, link
            link.lost.addBoth(self._forget)
            return link.log_in(self._url).addCallback(lambda _: link.ask(commands))

        connecting.addErrback(_unreachable)
        return cast("Deferred[Answer]", connecting.addCallback(connected).addCallback(_answer, letter))

    def close(self) -> None:
        """As :meth:`netguard.fleet.ledger.Engine.close`."""
        if self._connecting is not None:
            connecting, self._connecting = self._connecting, None
            connecting.cancel()
        if self._link is not None:
            self._link.end()
            self._link = None

    def _forget(self, _: object) -> None:
        self._link = None

    def _commands(self, letter: Letter) -> Iterator[Sequence[bytes]]:
        """What is to be asked for: always in this order, so that :func:`_answer` finds it."""
        prefix = f"netguard:{self._url.name}:"
        machines = f"{prefix}machines".encode()
        news, state = (f"{prefix}{kind}:{letter.machine}".encode() for kind in ("news", "state"))
        lease = b"%d" % (letter.lease * 1000)
        if letter.state is not None:
            yield b"SET", state, letter.state, b"PX", lease
        if letter.news is not None:
            yield b"PEXPIRE", state, lease
            yield (b"SREM" if letter.leaving else b"SADD"), machines, letter.machine.encode()
            yield b"PEXPIRE", machines, b"%d" % (letter.lease * 1000 * _SET_LEASES)
            yield b"XADD", news, b"MAXLEN", b"%d" % KEPT, b"*", b"e", letter.news
            yield b"PEXPIRE", news, lease
        if letter.gone:
            yield b"SREM", machines, *(each.encode() for each in letter.gone)
        yield b"SRANDMEMBER", machines, b"%d" % (MACHINES + 1)
        for each in letter.learn:
            yield b"GET", f"{prefix}state:{each}".encode()
        if letter.follow:
            streams = [f"{prefix}news:{each}".encode() for each in letter.follow]
            positions = [each.encode() for each in letter.follow.values()]
            yield b"XREAD", b"COUNT", b"%d" % AT_ONCE, b"STREAMS", *streams, *positions


def _unreachable(why: Failure) -> Failure:
    return Failure(LedgerError(f"it cannot be reached: {words(cast('BaseException', why.value))}"))


def _answer(replies: list[Reply], letter: Letter) -> Answer:
    """What the replies to the commands of a letter mean; the last ones are what was asked for."""
    replies = list(replies)
    news = _streams(replies.pop()) if letter.follow else {}
    states = {each: replies.pop() for each in reversed(letter.learn)}
    machines = replies.pop()
    position = None
    if letter.news is not None:
        position = _text(replies[-3 if letter.gone else -2])
    return Answer(
        [name for each in (machines if isinstance(machines, list) else ()) if (name := _text(each)) is not None],
        position if is_position(position) else None,
        news,
        {each: state for each, state in states.items() if isinstance(state, bytes)},
    )


def _streams(reply: Reply) -> dict[str, list[tuple[str, bytes]]]:
    """By machine, the position and the content of its news; what has another form is left out."""
    found: dict[str, list[tuple[str, bytes]]] = {}
    for stream in reply if isinstance(reply, list) else ():
        match stream:
            case [bytes(key), [*entries]]:
                name = key.rpartition(b":")[2].decode("ascii", "replace")
                found[name] = [*_entries(entries)][:AT_ONCE]
    return found


def _entries(entries: list[Reply]) -> Iterator[tuple[str, bytes]]:
    for entry in entries:
        match entry:
            case [bytes(position), [b"e", bytes(octets)]] if is_position(text := _text(position)):
                yield text or "", octets


def _text(value: Reply) -> str | None:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else None

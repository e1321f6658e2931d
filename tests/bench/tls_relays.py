"""CPU and rate of relays that end TLS, beside HAProxy's: ``python tests/bench/tls_relays.py [load ...] [relay ...]``.

The figures are those of :mod:`relays`. A client takes longer for a handshake than a server; where the relay's core was
not busy all the time, the rate is the client's, and what the relay could do is what its CPU says.

In front is TLS with the same certificate (ECDSA on P-256), and the client decides on cipher and curve, so that all do
the same work; behind is the server of :mod:`relays`, without TLS. Handshakes are charged with all that a connection
costs: TCP, TLS, the connection to the server, one line there and back, and ``close_notify`` both ways.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import choosing
import clients
import relays
import tls_clients
import trustme

ROUNDS = 7
_HANDSHAKES = 500
_BULK, _PIECE = relays._BULK, relays._PIECE
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_NAME = "relay.example"


def context(version: str = "1.3") -> ssl.SSLContext:
    """A client's TLS, of one version and with one cipher of each; it believes everybody."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.minimum_version = made.maximum_version = _VERSIONS[version]
    made.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
    return made


def dial(port: int, tls: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
    """A connection whose handshake is over."""
    return tls.wrap_socket(clients.connect(port), server_hostname=_NAME, session=session)


def down(port: int) -> float:
    """The server's bytes; in GiB."""
    got, into = 0, bytearray(_PIECE)
    with dial(port, context()) as it:
        it.sendall(b"D")
        while count := it.recv_into(into):
            got += count
    if got != _BULK:
        message = f"{got} bytes down"
        raise RuntimeError(message)
    return _BULK / relays.GIB


def up(port: int) -> float:
    """The client's bytes; in GiB."""
    with dial(port, context()) as it:
        for _ in range(_BULK // _PIECE):
            it.sendall(b"U" * _PIECE)
        if it.recv(3) != b"all":
            message = "not all went up"
            raise RuntimeError(message)
    return _BULK / relays.GIB


def requests(port: int) -> float:
    """Lines there and back, on 50 connections; in millions."""
    tls, times = context(), 100
    all_of = [dial(port, tls) for _ in range(50)]
    for _ in range(times):
        for each in all_of:
            each.sendall(clients.LINE)
        for each in all_of:
            if each.recv(4096) != clients.LINE:
                message = "no echo"
                raise RuntimeError(message)
    for each in all_of:
        each.close()
    return 50 * times / 1e6


def _handshakes(port: int, version: str, *, resumes: bool) -> float:
    """Connections that come and go, some at once; in millions."""
    return tls_clients.churn(port, _HANDSHAKES, version, resumes=resumes) / 1e6


LOADS: dict[str, tuple[str, Callable[[int], float], str]] = {
    "down": ("CPU seconds a GiB to the client", down, "bar: <= 1.0"),
    "up": ("CPU seconds a GiB from the client", up, "bar: <= 1.0"),
    "requests": ("CPU µs a request, 50 connections", requests, ""),
    **{
        f"{kind}-{version}": (
            f"CPU µs a connection with a {kind} handshake of TLS {version}",
            partial(_handshakes, version=version, resumes=kind == "resumed"),
            bar,
        )
        for kind, bar in (("full", "bar: rate >= 0.85"), ("resumed", "bar: rate >= 0.9"))
        for version in ("1.2", "1.3")
    },
}


def haproxy(pem: Path, folder: Path, port: int, to: int) -> list[str]:
    """HAProxy, in one thread."""
    command = relays.haproxy(folder, port, to)
    config = folder / "haproxy.cfg"
    text = config.read_text().replace(f"bind 127.0.0.1:{port}", f"bind 127.0.0.1:{port} ssl crt {pem}")
    config.write_text(text.replace("global\n", "global\n    tune.ssl.default-dh-param 2048\n"))
    return command


def relay(pem: Path, _: Path, port: int, to: int, *words: str) -> list[str]:
    """netguard-relay, with all its defaults."""
    words = ("--tls", str(pem), "--listen", f"tls:{port}:interface=127.0.0.1", "--to", f"tcp:127.0.0.1:{to}", *words)
    return [relays.TWISTD, "-n", "--pidfile=", "--logfile=/dev/null", "netguard-relay", *words]


def stock(pem: Path, folder: Path, port: int, to: int) -> list[str]:
    """netguard-relay on Twisted's own transport and TLS."""
    return relay(pem, folder, port, to, "--transport", "stock")


def raw(pem: Path, folder: Path, port: int, to: int) -> list[str]:
    """The least that a relay in Python can do; it has no bulk."""
    return relays.raw(folder, port, to, str(pem))


RELAYS: dict[str, Callable[[Path, Path, int, int], list[str]]] = {
    each.__name__: each for each in (haproxy, relay, stock, raw)
}
_NO_BULK = ("down", "raw"), ("up", "raw")


def compare(
    title: str,
    work: Callable[[int], float],
    bar: str,
    commands: Mapping[str, Callable[[Path, int, int], list[str]]],
    to: int,
) -> None:
    """One load, all relays in turns.

    Args:
        title: what it is.
        work: loads a port; how many units it was.
        bar: what is to be reached, in words.
        commands: the relays, the one that is compared with first; each by its folder, its port, and where it relays to.
        to: the port that they relay to.
    """
    first, *_ = commands
    runs: dict[str, list[relays.Run]] = {name: [] for name in commands}
    os.sched_setaffinity(0, {relays.CORES[-1]})
    with ExitStack() as stack:
        running = {name: stack.enter_context(relays.started(command, to)) for name, command in commands.items()}
        for process, _ in running.values():
            relays.pin(process)
        for turn in range(ROUNDS + 1):
            for name, (process, port) in running.items():
                one = relays.run(process, port, work)
                if turn:  # the first one warms up
                    runs[name].append(one)
    print(f"{title}, its ratio to {first}; units a second, their ratio; how busy the relay's core was, and the client")
    print(f"(median of {ROUNDS} pairs)    {bar}")
    for name in commands:
        print(f"  {name:13} {relays.told(runs[name], runs[first])}", flush=True)


if __name__ == "__main__":
    loads, relaying = choosing.chosen(
        __doc__, {name: load[0] for name, load in LOADS.items()}, choosing.told_by(RELAYS)
    )
    with tempfile.TemporaryDirectory() as name, relays.served() as behind:
        certificate = Path(name) / "relay.pem"
        certificate.touch(0o600)
        certificate.write_bytes(trustme.CA().issue_cert(_NAME).private_key_and_cert_chain_pem.bytes())
        for each in loads:
            able = [name for name in relaying if (each, name) not in _NO_BULK]
            compare(*LOADS[each], {name: partial(RELAYS[name], certificate) for name in able}, behind)

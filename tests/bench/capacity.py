"""What a connection of each kind costs here, to size a machine by: ``python tests/bench/capacity.py [relay|pop ...]``.

Real services under twistd, with their defaults and a log of JSON lines that goes nowhere; clients on loopback, in this
process. Memory is what the process occupies more while so many connections rest. Time is what the process, its threads
included, was on a processor, so that it does not matter what else the machine does. Nothing here is asserted.
"""

from __future__ import annotations

import resource
import socket
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import choosing
import clients
from attrs import frozen
from relays import TWISTD, served

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.popserver import USER, Peer, Site, environment, trusting
from tests.programs import free_port

RESTING = 400
ROUNDS = 5
LOOPBACK = "interface=127.0.0.1"


@frozen
class Asked:
    """What a load needs to know.

    Args:
        port: where the service listens.
        pem: the certificate of its TLS.
    """

    port: int
    pem: Path


@frozen
class Kind:
    """A service, and a load for it.

    Args:
        words: its command line, by a folder, the port and that of a server behind it.
        rest: makes a connection that rests, as most do most of the time.
        work: does so many units of work.
        unit: what one is.
    """

    words: Callable[[Site, int, int], list[str]]
    rest: Callable[[Asked], socket.socket]
    work: Callable[[Asked, int], object]
    unit: str


def _relay(_: Site, port: int, to: int) -> list[str]:
    return ["netguard-relay", "--listen", f"tcp:{port}:{LOOPBACK}", "--to", f"tcp:127.0.0.1:{to}"]


def _relay_tls(site: Site, port: int, to: int) -> list[str]:
    words = ["--listen", f"tls:{port}:{LOOPBACK}", "--tls", str(site.pem), "--to", f"tcp:127.0.0.1:{to}"]
    return ["netguard-relay", *words]


def _full(site: Site, port: int, to: int) -> list[str]:
    return [*_relay(site, port, to), "--max-connections", "1", "--refusal", "reset"]


def _web(site: Site, port: int, _: int) -> list[str]:
    return ["netguard-wrap", "--", "web", "--path", str(site.folder / "www"), "--listen", f"tcp:{port}:{LOOPBACK}"]


def _pop(site: Site, port: int, _: int) -> list[str]:
    return ["netguard-pop", *site.options, "--listen", f"tcp:{port}:{LOOPBACK}"]


def _pop_tls(site: Site, port: int, _: int) -> list[str]:
    return ["netguard-pop", *site.options, "--tls", str(site.pem), "--listen", f"tls:{port}:{LOOPBACK}"]


def _echoed(asked: Asked) -> socket.socket:
    made = clients.connect(asked.port)
    _line(made)
    return made


def _line(made: socket.socket) -> None:
    made.sendall(clients.LINE)
    if made.recv(4096) != clients.LINE:
        message = "no echo"
        raise RuntimeError(message)


def _secure(asked: Asked) -> socket.socket:
    context = ssl.create_default_context(cafile=str(asked.pem))
    made = context.wrap_socket(clients.connect(asked.port), server_hostname="localhost")
    _line(made)
    return made


def _secure_lines(asked: Asked, count: int) -> None:
    for _ in range(count):
        _secure(asked).close()


def _get(made: socket.socket) -> None:
    made.sendall(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n")
    if b" 200 " not in made.recv(65_536):
        message = "no page"
        raise RuntimeError(message)


def _visited(asked: Asked) -> socket.socket:
    made = clients.connect(asked.port)
    _get(made)
    return made


def _visit(asked: Asked, count: int) -> None:
    with clients.connect(asked.port) as made:
        for _ in range(count):
            _get(made)


def _logged_in(asked: Asked, *, tls: bool = False, name: str = USER) -> Peer:
    peer = Peer(asked.port, trusting(asked.pem) if tls else None)
    if not peer.apop(name).startswith(b"+OK"):
        message = "no login"
        raise RuntimeError(message)
    return peer


_names = iter(f"user{number}" for number in range(1_000_000))


def _session(asked: Asked, *, tls: bool = False) -> None:
    with _logged_in(asked, tls=tls) as peer:
        for command in (b"STAT", b"UIDL 1", b"QUIT"):
            peer.ask(command)


def _times(do: Callable[[Asked], object]) -> Callable[[Asked, int], None]:
    def work(asked: Asked, count: int) -> None:
        for _ in range(count):
            do(asked)

    return work


def _resting_user(*, tls: bool) -> Callable[[Asked], socket.socket]:
    return lambda asked: _logged_in(asked, tls=tls, name=next(_names)).socket


KINDS = {
    "relay requests": Kind(
        _relay, _echoed, lambda asked, n: clients.echo(asked.port, 50, n), "a line and its echo, of 50"
    ),
    "relay connections": Kind(_relay, _echoed, lambda asked, n: clients.churn(asked.port, n), "connect, line, close"),
    "relay TLS": Kind(_relay_tls, _secure, _secure_lines, "a full handshake, line, close"),
    "web": Kind(_web, _visited, _visit, "GET of 1 KiB, kept alive"),
    "pop": Kind(_pop, _resting_user(tls=False), _times(_session), "APOP, STAT, UIDL, QUIT; 10 messages"),
    "pop TLS": Kind(
        _pop_tls,
        _resting_user(tls=True),
        _times(lambda asked: _session(asked, tls=True)),
        "the same inside TLS",
    ),
    "refused": Kind(_full, _echoed, lambda asked, n: clients.flood(asked.port, n), "a connection that is reset"),
}
COUNTS = {"relay requests": 10_000, "web": 1_000, "refused": 4_000}


@contextmanager
def _started(words: list[str], port: int, folder: Path) -> Iterator[int]:
    """A service; its process."""
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [
                TWISTD,
                "-n",
                "--pidfile=",
                "--logfile=/dev/null",
                words[0],
                "--log-format",
                "json",
                *_GENEROUS,
                *words[1:],
            ],
            cwd=folder,
            env=environment(),
            stdout=output,
            stderr=output,
        )
        try:
            while process.poll() is None:
                try:
                    clients.connect(port).close()
                    break
                except ConnectionRefusedError:
                    time.sleep(0.05)
            else:
                raise RuntimeError((folder / "output").read_text())
            yield process.pid
        finally:
            process.kill()
            process.wait()


_GENEROUS = ["--max-per-peer", "off", "--penalty", "off"]
"""All clients are one peer here."""


def _memory(process: int) -> int:
    """Bytes that a process occupies."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()


def _on_processor(process: int) -> float:
    """Seconds for which a process was on a processor, its threads included."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return sum(int((each / "schedstat").read_text().split()[0]) for each in tasks) / 1e9


def _measure(name: str, kind: Kind, site: Site) -> None:
    count, port = COUNTS.get(name, 300), free_port()
    with ExitStack() as stack:
        to = stack.enter_context(served())
        process = stack.enter_context(_started(kind.words(site, port, to), port, site.folder))
        asked = Asked(port, site.pem)
        full = name == "refused"
        if full:
            time.sleep(1)
            stack.enter_context(kind.rest(asked))
        kind.work(asked, count)
        costs, empty = list[float](), _memory(process)
        for _ in range(ROUNDS):
            before = _on_processor(process)
            kind.work(asked, count)
            costs.append((_on_processor(process) - before) / count * 1e6)
        each = "-"
        if not full:
            empty = _memory(process)
            for _ in range(RESTING):
                stack.enter_context(kind.rest(asked))
            each = f"{(_memory(process) - empty) / RESTING / 1024:.1f}"
        line = f"{name:18} {empty / 2**20:8.0f} {each:>15} {statistics.median(costs):9.0f}   {kind.unit}"
        print(line, flush=True)


def main() -> None:
    """Measure the kinds whose names, or beginnings of names, are on the command line, or all."""
    (wanted,) = choosing.chosen(__doc__, {name: kind.unit for name, kind in KINDS.items()}, beginnings=True)
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    print(f"{'':18} {'MiB empty':>9} {'KiB at rest':>14} {'CPU µs':>9}   for")
    with TemporaryDirectory() as name:
        site = Site.make(Path(name), {f"m{n}": b"Subject: hello\n\n" + b"x" * 4000 + b"\n" for n in range(10)})
        for number in range(2 * RESTING):
            site.add_user(f"user{number}", {"one": b"Subject: hello\n\nhello\n"})
        (site.folder / "www").mkdir()
        (site.folder / "www" / "page").write_bytes(bytes(1024))
        for each in wanted:
            _measure(each, KINDS[each], site)


if __name__ == "__main__":
    main()

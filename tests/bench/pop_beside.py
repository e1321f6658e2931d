"""netguard-pop beside Dovecot on the same Maildirs: each kind of server on one core, CPU of its whole process tree.

They run by ``python tests/bench/run.py pop_sessions pop_one pop_10k pop_100k pop_giant pop_idle``; the bars are in the
words that are printed. Where there is no Dovecot, only netguard-pop is measured.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread

from attrs import define
from pop import CORES, HERE, SECRET, apop, ask, line, listing

from netguard.accounts.credentials import APOP
from netguard.accounts.store import Store

sys.path.append(str(HERE.parent.parent))
from tests.dovecot import ONE_FOR_EACH, SHARED, dovecot, give, public_folder, why_not

ROUNDS = 5
TICKS = os.sysconf("SC_CLK_TCK")
USERS = [f"user{number}" for number in range(8)]
BEGAN = 1_700_000_000


@define
class Server:
    """One that is measured.

    Args:
        name: what it is.
        port: where it speaks POP3.
        process: the first process of its tree.
    """

    name: str
    port: int
    process: int

    def tree(self) -> list[int]:
        """Its processes."""
        found, new = [], [self.process]
        while new:
            found += new
            new = [child for each in new for child in _children(each)]
        return found

    def cpu(self) -> float:
        """Seconds that they and those they waited for have used."""
        while True:
            try:
                return sum(sum(map(int, _stat(each)[11:15])) for each in self.tree()) / TICKS
            except (FileNotFoundError, ProcessLookupError):  # one has just ended; its parent has its time now
                continue

    def memory(self, word: str = "Pss") -> int:
        """KiB that they hold, pages that are shared between them counted once."""
        total = 0
        for each in self.tree():
            rows = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
            total += sum(int(row.split()[1]) for row in rows if row.startswith(word + ":"))
        return total

    def enter(self, user: str) -> socket.socket:
        """A session."""
        made = socket.create_connection(("127.0.0.1", self.port), 300)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answer = ask(made, apop(line(made), user))
        if not answer.startswith(b"+OK"):
            raise RuntimeError(answer)
        return made


def _stat(process: int) -> list[str]:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def _children(process: int) -> list[int]:
    return [
        int(child)
        for task in Path(f"/proc/{process}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


@contextmanager
def netguard(folder: Path) -> Iterator[Server]:
    """A netguard-pop for the users in a folder."""
    process = subprocess.Popen(
        [
            *(sys.executable, str(HERE / "pop_server.py")),
            *("--maildir", f"{folder}/mail/{{user}}", "--accounts", f"{folder}/accounts"),
            *("--listen", "tcp:0:interface=127.0.0.1"),
            *("--max-per-peer", "5000", "--max-connections", "5000", "--shed", "connections>5000"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    os.sched_setaffinity(process.pid, {CORES[0]})
    assert process.stdout is not None
    yield Server("netguard-pop", int(process.stdout.readline()), process.pid)
    process.communicate(timeout=60)


@contextmanager
def another(folder: Path, name: str, kind: str) -> Iterator[Server]:
    """A Dovecot for the same users."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {CORES[0]})
    with dovecot(dict.fromkeys(USERS, SECRET), f"{folder}/mail/{{user}}", kind) as running:
        os.sched_setaffinity(0, before)
        yield Server(name, running.port, running.process)


@contextmanager
def side_by_side(fill: Callable[[Path], object], *, default: bool = False) -> Iterator[list[Server]]:
    """Servers for the same mail, which a function fills in for one user, with Dovecot's fastest kind at the end."""
    with public_folder() as folder, ExitStack() as stack:
        for user in USERS:
            for part in ("new", "cur", "tmp"):
                (folder / "mail" / user / part).mkdir(parents=True)
            fill(folder / "mail" / user)
        give(folder / "mail")
        store = Store(folder / "accounts")
        store.create()
        for user in USERS:
            store.add(user, {APOP: SECRET})
        store.close()
        # A directory that has just changed is trusted by nobody.
        time.sleep(2.5)
        servers = [stack.enter_context(netguard(folder))]
        if why_not() is None:
            if default:
                servers.append(stack.enter_context(another(folder, "Dovecot, as it comes", ONE_FOR_EACH)))
            servers.append(stack.enter_context(another(folder, "Dovecot, service_count=0", SHARED)))
        yield servers


def small(many: int, octets: int, maildir: Path) -> None:
    """Mail that has been seen, with its size on the wire in each name."""
    content = b"Subject: x\r\n\r\n" + b"a line of mail with its end, 32 octets\r\n"
    content += b"x" * (octets - len(content) - 2) + b"\r\n"
    for number in range(many):
        name = f"{BEGAN + number}.M{number}P1.host,S={len(content)},W={len(content)}:2,S"
        (maildir / "cur" / name).write_bytes(content)


def session(server: Server, fetched: int, user: str) -> None:
    """A whole session."""
    with server.enter(user) as peer:
        ask(peer, b"STAT")
        listing(peer, b"UIDL")
        listing(peer, b"LIST")
        for number in range(1, fetched + 1):
            listing(peer, b"RETR %d" % number)
        ask(peer, b"QUIT")


def _sessions(title: str, many: int, fetched: int, bar: str) -> None:
    with side_by_side(partial(small, many, 4096), default=True) as servers, ThreadPoolExecutor(len(USERS)) as pool:
        costs: dict[str, list[float]] = {each.name: [] for each in servers}
        rates: dict[str, list[float]] = {each.name: [] for each in servers}

        def run(server: Server, each_user: int) -> float:
            def many_of(user: str) -> None:
                for _ in range(each_user):
                    session(server, fetched, user)

            began = time.perf_counter()
            list(pool.map(many_of, USERS))
            return time.perf_counter() - began

        # The kernel counts by hundredths of a second; so a run is to take about one.
        turns = {server.name: max(3, int(10 / run(server, 10))) for server in servers}
        for _ in range(ROUNDS):
            for server in servers:
                before, began = server.cpu(), time.perf_counter()
                run(server, turns[server.name])
                units = turns[server.name] * len(USERS)
                costs[server.name].append((server.cpu() - before) / units * 1000)
                rates[server.name].append(units / (time.perf_counter() - began))
        last = statistics.median(costs[servers[-1].name])
        print(f"{title}: CPU ms a session; ratio to {servers[-1].name}; sessions/s    {bar}")
        for server in servers:
            cost = statistics.median(costs[server.name])
            print(f"  {server.name:26} {cost:6.3f}  {cost / last:5.3f}  {statistics.median(rates[server.name]):7.0f}")


def pop_sessions() -> None:
    """A hundred messages, three of 4 KiB fetched, eight clients."""
    _sessions("APOP, STAT, UIDL, LIST, 3 x RETR of 100", 100, 3, "bar: <= 1.0")


def pop_one() -> None:
    """One message, which is fetched."""
    _sessions("APOP, STAT, UIDL, LIST, RETR of 1", 1, 1, "bar: <= 0.5")


def _opening(server: Server, user: str) -> tuple[float, float]:
    """Seconds of login, STAT and UIDL: as the client sees them, and of the server's processor."""
    before, began = server.cpu(), time.perf_counter()
    with server.enter(user) as peer:
        ask(peer, b"STAT")
        listing(peer, b"UIDL")
        took = time.perf_counter() - began
        ask(peer, b"QUIT")
    return took, server.cpu() - before


def _other_user(server: Server, do: Callable[[], object]) -> list[float]:
    """Milliseconds of another user's round trips while something is done."""
    over, trips = Event(), []
    with server.enter(USERS[-1]) as peer:

        def talk() -> None:
            while not over.is_set():
                began = time.perf_counter()
                ask(peer, b"NOOP")
                trips.append((time.perf_counter() - began) * 1000)
                time.sleep(0.002)

        talking = Thread(target=talk)
        talking.start()
        do()
        over.set()
        talking.join()
        ask(peer, b"QUIT")
    return trips


def _large(many: int, *, claimed: bool, bar: str) -> None:
    def fill(maildir: Path) -> None:
        if maildir.name == USERS[0]:
            for number in range(many):
                size = f",S={300 + number % 200},W={310 + number % 200}" if claimed else ""
                content = b"Subject: x\n" + b"x\n" * 8 + b"\n" + b"y" * (271 + number % 200) + b"\n"
                (maildir / "cur" / f"{BEGAN + number}.M{number}P1.host{size}:2,S").write_bytes(content)

    with side_by_side(fill) as servers:
        words = "with W= in the names" if claimed else "without sizes in the names"
        print(f"{many} messages {words}: ms of login, STAT, UIDL, first and warm; the CPU of it; others' p99    {bar}")
        for server in servers:
            first: list[tuple[float, float]] = []
            trips = _other_user(server, lambda to=first, at=server: to.append(_opening(at, USERS[0])))  # type: ignore[misc]
            time.sleep(1)  # what is filled in the background is no part of the next session
            warm = [_opening(server, USERS[0]) for _ in range(ROUNDS)]
            again = _other_user(server, lambda at=server: [_opening(at, USERS[0]) for _ in range(ROUNDS)])  # type: ignore[misc]
            took, cpu = (statistics.median(each) * 1000 for each in zip(*warm, strict=True))
            late = [f"{statistics.quantiles(each, n=100)[98]:.1f} (worst {max(each):.1f})" for each in (trips, again)]
            print(
                f"  {server.name:26} first {first[0][0] * 1000:6.0f} (CPU {first[0][1] * 1000:6.0f})  "
                f"warm {took:6.0f} (CPU {cpu:6.0f})  others p99 {late[0]} first, {late[1]} warm"
            )


def pop_10k() -> None:
    """Ten thousand messages."""
    _large(10_000, claimed=True, bar="bar: warm <= 0.6")


def pop_100k() -> None:
    """A hundred thousand messages."""
    for claimed in (True, False):
        _large(100_000, claimed=claimed, bar="bar: warm, first <= 1.0; others < 50 ms")


def pop_giant() -> None:
    """RETR of 1 GiB."""
    row = b"A line of mail, sixty-four octets long with its line end, or so..\n"

    def fill(maildir: Path) -> None:
        if maildir.name == USERS[0]:
            block = row * 16_000
            with (maildir / "cur" / f"{BEGAN}.M1.host:2,S").open("wb") as mail:
                mail.write(b"Subject: giant\n\n")
                for _ in range((1 << 30) // len(block)):
                    mail.write(block)

    with side_by_side(fill) as servers:
        print("RETR of 1 GiB: CPU s, wall s, MiB more at the most than before    bar: <= 1.0; flat")
        for server in servers:
            session(server, 0, USERS[0])
            with server.enter(USERS[0]) as peer:
                listing(peer, b"TOP 1 10")
                idle = server.memory()
                most, over = [idle], Event()

                def watch(at: Server = server, most: list[int] = most, over: Event = over) -> None:
                    while not over.wait(0.2):
                        most.append(at.memory())

                watching = Thread(target=watch)
                watching.start()
                before, began = server.cpu(), time.perf_counter()
                listing(peer, b"RETR 1")
                took, cpu = time.perf_counter() - began, server.cpu() - before
                over.set()
                watching.join()
                ask(peer, b"QUIT")
            print(f"  {server.name:26} {cpu:6.2f} {took:6.2f} {(max(most) - idle) / 1024:7.2f}")


def pop_idle() -> None:
    """Connections that are idle."""
    many = 1000
    with side_by_side(partial(small, 1, 4096)) as servers:
        print(f"memory of an idle session, KiB: before login ({many} of them); logged in (8)    bar: <= 4; <= 8")
        for server in servers:
            for user in USERS:
                session(server, 1, user)
            before = server.memory()
            waiting = [socket.create_connection(("127.0.0.1", server.port), 60) for _ in range(many)]
            for each in waiting:
                line(each)
            connected = server.memory()
            for each in waiting:
                each.close()
            time.sleep(1)
            empty = server.memory()
            inside = [server.enter(user) for user in USERS]
            entered = server.memory()
            for each in inside:
                ask(each, b"QUIT")
                each.close()
            print(f"  {server.name:26} {(connected - before) / many:7.1f} {(entered - empty) / len(USERS):7.1f}")


BENCHES = {each.__name__: each for each in (pop_sessions, pop_one, pop_10k, pop_100k, pop_giant, pop_idle)}

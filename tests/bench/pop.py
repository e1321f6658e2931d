"""Benchmarks of netguard-pop: memory of a large RETR and of commands sent ahead, the reactor while a mailbox opens.

They run by ``python tests/bench/run.py pop_retr pop_mailbox pop_ahead pop_delay pop_logins``; nothing is asserted, the
bars are in the words that are printed.
"""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import define

from netguard.accounts import passwords
from netguard.accounts.credentials import APOP, OTP, PASSWORD, SCRAM, begin_chain, scram_verifier
from netguard.accounts.store import Store
from netguard.process.selfsigned import self_signed
from netguard.wire.scram import LEAST_ITERATIONS

HERE = Path(__file__).parent
CORES = sorted(os.sched_getaffinity(0))
USER, SECRET = "alice", "the secret of a benchmark"
MIB = 1 << 20
CHEAP = passwords.Cost(memory=64, passes=1, lanes=1)
QUIET = 4.0
"""Seconds without progress after which a sender is taken to be stopped by the server."""


@define
class Pop:
    """A netguard-pop, pinned to the first core.

    Args:
        process: the process.
        folder: its files.
        plain: the port that speaks POP3.
        tls: the port that speaks it inside TLS.
    """

    process: subprocess.Popen[str]
    folder: Path
    plain: int
    tls: int

    def ask(self, word: str) -> float:
        """A figure of it; see pop_server.py."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(word, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def connect(self, *, tls: bool = False) -> socket.socket:
        """A connection; its greeting is read by whoever logs in."""
        made = socket.create_connection(("127.0.0.1", self.tls if tls else self.plain), 120)
        if not tls:
            return made
        context = ssl.create_default_context(cafile=str(self.folder / "self-signed.pem"))
        return context.wrap_socket(made, server_hostname="localhost")

    def login(self, *, tls: bool = False) -> socket.socket:
        """A connection that is logged in by APOP."""
        made = self.connect(tls=tls)
        answer = ask(made, apop(line(made)))
        if not answer.startswith(b"+OK"):
            raise RuntimeError(answer)
        return made


@contextmanager
def serving(messages: Callable[[Path], object], *words: str) -> Iterator[Pop]:
    """A server with a mailbox, which a function fills with files; for further words see pop_server.py."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("new", "cur", "tmp"):
            (folder / "mail" / USER / part).mkdir(parents=True)
        messages(folder / "mail" / USER / "new")
        store = Store(folder / "accounts")
        store.create()
        store.add_all([], iterations=LEAST_ITERATIONS)
        made = {APOP: SECRET, PASSWORD: passwords.hashed(SECRET.encode(), CHEAP if words else passwords.Cost())}
        made |= {SCRAM: scram_verifier(SECRET, LEAST_ITERATIONS), OTP: begin_chain(SECRET, 100).stored}
        store.add(USER, made)
        store.close()
        options = ["--maildir", f"{folder}/mail/{{user}}", "--accounts", f"{folder}/accounts", "--max-per-peer", "500"]
        options += ["--shed", "off"] if words else []
        ports = ["--listen", "tcp:0:interface=127.0.0.1", "--listen", "tls:0:interface=127.0.0.1"]
        process = subprocess.Popen(
            [
                sys.executable,
                str(HERE / "pop_server.py"),
                *words,
                *options,
                *ports,
                "--tls",
                str(self_signed("localhost", folder)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        os.sched_setaffinity(process.pid, {CORES[0]})
        assert process.stdout is not None
        plain, tls = map(int, process.stdout.readline().split())
        yield Pop(process, folder, plain, tls)
        process.communicate(timeout=30)


def line(peer: socket.socket) -> bytes:
    """One line, or what came before the end."""
    got = b""
    while not got.endswith(b"\r\n") and (more := peer.recv(1)):
        got += more
    return got


def ask(peer: socket.socket, command: bytes) -> bytes:
    """One command, and the first line of its answer."""
    peer.sendall(command + b"\r\n")
    return line(peer)


def apop(greeting: bytes, name: str = USER, secret: str = SECRET) -> bytes:
    """The command that answers a greeting."""
    stamp = greeting[greeting.index(b"<") : greeting.index(b">") + 1]
    return f"APOP {name} {hashlib.md5(stamp + secret.encode(), usedforsecurity=False).hexdigest()}".encode()


def listing(peer: socket.socket, command: bytes) -> int:
    """One command with an answer of many lines; returns its octets."""
    peer.sendall(command + b"\r\n")
    octets, tail = 0, b""
    while not tail.endswith(b"\r\n.\r\n"):
        got = peer.recv(1 << 18)
        octets, tail = octets + len(got), (tail + got)[-5:]
    return octets


def pop_retr() -> None:
    """One RETR of 100 MB."""
    content = b"Subject: large\n\n" + b"A line of mail, sixty-four octets long with its line end, or so..\n" * (
        100 * MIB // 66
    )
    with serving(lambda new: (new / "1.large.host").write_bytes(content)) as pop:
        for tls in (False, True):
            with pop.login(tls=tls) as peer:  # what a first session costs is no part of it
                listing(peer, b"TOP 1 100")
                ask(peer, b"QUIT")
            with pop.login(tls=tls) as peer:
                before = pop.ask("mark")
                began = time.perf_counter()
                octets = listing(peer, b"RETR 1")
                took = time.perf_counter() - began
                extra = (pop.ask("peak") - before) / 1024
            where = "inside TLS" if tls else "in clear"
            print(f"RETR of 100 MB {where}: {extra:.2f} MiB extra, {octets / took / 1e6:.0f} MB/s    bar: < 2 MiB")


def pop_mailbox() -> None:
    """A mailbox of ten thousand messages: when it is opened for the first time, and again."""
    many = 10_000

    def fill(new: Path) -> None:
        for number in range(many):
            (new / f"{1_700_000_000 + number}.M{number}.host").write_bytes(
                b"Subject: x\n\n" + b"a line\n" * (number % 300)
            )

    with serving(fill) as pop:
        for when in ("first", "again", "again"):
            with pop.connect() as peer:
                greeting = line(peer)
                pop.ask("mark")
                began = time.perf_counter()
                ask(peer, apop(greeting))
                opened, gap = time.perf_counter() - began, pop.ask("gap")
                pop.ask("mark")
                began = time.perf_counter()
                listing(peer, b"LIST")
                listing(peer, b"UIDL")
                listed, list_gap = time.perf_counter() - began, pop.ask("gap")
                ask(peer, b"QUIT")
            print(
                f"{many} messages, {when}: login {opened * 1000:.0f} ms, the reactor held for {gap:.1f} ms at most; "
                f"LIST and UIDL {listed * 1000:.0f} ms, held for {list_gap:.1f} ms    bar: < 50 ms"
            )


def pop_ahead() -> None:
    """Commands sent ahead of a RETR whose answer nobody reads: as many as the server takes, up to 200 MiB."""
    with serving(
        lambda new: (new / "1.large.host").write_bytes(b"Subject: x\n\n" + b"a line of mail\n" * (2 * MIB))
    ) as pop:
        for tls in (False, True):
            pop.login(tls=tls).close()
            with pop.login(tls=tls) as peer:
                before = pop.ask("mark")
                peer.sendall(b"RETR 1\r\n")
                peer.settimeout(QUIET)
                sent, portion = 0, b"NOOP\r\n" * 10_000
                try:
                    while sent < 200 * MIB:
                        sent += peer.send(portion)
                except TimeoutError:
                    pass
                larger = (pop.ask("peak") - before) / 1024
            where = "inside TLS" if tls else "in clear"
            print(
                f"200 MiB of NOOPs behind a blocked RETR {where}: the server stopped taking after {sent / MIB:.1f} MiB "
                f"(socket buffers included), {larger:.2f} MiB larger    bar: < 32 MiB"
            )


def pop_delay() -> None:
    """Small messages one after another: without TCP_NODELAY each would wait 40 ms."""
    times = 500
    with (
        serving(lambda new: (new / "1.small.host").write_bytes(b"Subject: x\n\n" + b"a line\n" * 100)) as pop,
        pop.login() as peer,
    ):
        nodelay = bool(pop.ask("nodelay"))
        began = time.perf_counter()
        for _ in range(times):
            listing(peer, b"RETR 1")
        each = (time.perf_counter() - began) / times * 1000
    print(
        f"RETR of 700 octets, one after another: {each:.2f} ms each; TCP_NODELAY set: {nodelay}    bar: set, << 40 ms"
    )


def pop_logins() -> None:
    """How long a failed login takes for a user who exists and for one who does not: two distributions to be alike."""
    with serving(Path.exists) as pop:
        for tls, at_once, samples in ((False, 20, 100), (True, 4, 40)):

            def failed(number: int, *, tls: bool = tls) -> tuple[bool, float]:
                known = bool(number % 2)
                name = USER if known else "mallory"
                with pop.connect(tls=tls) as peer:
                    said = apop(line(peer), name, "wrong")
                    if tls:
                        ask(peer, b"USER " + name.encode())
                        said = b"PASS wrong"
                    began = time.perf_counter()
                    ask(peer, said)
                    return known, (time.perf_counter() - began) * 1000

            with ThreadPoolExecutor(at_once) as pool:
                taken = list(pool.map(failed, range(samples)))
            told = []
            for whose, wanted in (("known", True), ("unknown", False)):
                took = [each for known, each in taken if known is wanted]
                low, middle, high = (
                    statistics.quantiles(took, n=20)[0],
                    statistics.median(took),
                    statistics.quantiles(took, n=20)[-1],
                )
                told.append(f"{whose} {middle:.2f} ms (5 % {low:.2f}, 95 % {high:.2f})")
            print(f"failed {'PASS' if tls else 'APOP'}: {'; '.join(told)}    bar: alike")


BENCHES = {each.__name__: each for each in (pop_retr, pop_mailbox, pop_ahead, pop_delay, pop_logins)}

"""A real Redis on loopback, for tests of any folder: with an ACL user or TLS, ended, paused and started again."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from attrs import define

from tests.pemfiles import issued
from tests.popserver import PATIENCE, environment
from tests.programs import LOOPBACK, free_port, path_of

USER, PASSWORD = "guard", "ledger-pw-8Hq3"
RIGHTS = "+auth +select +set +get +pexpire +sadd +srem +srandmember +xadd +xread"
"""All that a ledger needs; docs/how-to/run-a-fleet.md says the same."""


@define
class Redis:
    """A server.

    Args:
        folder: its own.
        port: where it listens.
        words: its options.
    """

    folder: Path
    port: int
    words: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin, and wait until it answers."""
        listen = ("--bind", LOOPBACK, "--save", "", "--appendonly", "no", "--dir", str(self.folder))
        with (self.folder / "redis.log").open("ab") as output:
            self.process = subprocess.Popen(
                [path_of("redis-server") or "redis-server", "--port", str(self.port), *listen, *self.words],
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        end = monotonic() + PATIENCE
        while b"Ready to accept" not in (self.folder / "redis.log").read_bytes():
            assert monotonic() < end, (self.folder / "redis.log").read_text()[-2000:]
            assert self.process.poll() is None, (self.folder / "redis.log").read_text()[-2000:]
            sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it; with SIGKILL nobody hears anything but a reset."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(PATIENCE)
            self.process = None
            (self.folder / "redis.log").unlink()

    def send(self, how: signal.Signals) -> None:
        """Stop it for a while (SIGSTOP), or let it go on (SIGCONT)."""
        assert self.process is not None
        self.process.send_signal(how)

    def ask(self, *words: str) -> str:
        """What redis-cli says to a command."""
        command = [path_of("redis-cli") or "redis-cli", "-p", str(self.port), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout.strip()

    def url(self, more: str = "within=300ms&lease=3s", who: str = "") -> str:
        """The ledger's URL."""
        return f"redis://{who}{LOOPBACK}:{self.port}/0?{more}"


@contextmanager
def redis(folder: Path, *words: str) -> Iterator[Redis]:
    """A server for the time of a block."""
    server = Redis(folder, free_port(), words)
    server.start()
    try:
        yield server
    finally:
        if server.process is not None:
            server.send(signal.SIGCONT)
        server.stop()


@contextmanager
def redis_with_tls(folder: Path, *more: str) -> Iterator[tuple[Redis, int, Path, Path]]:
    """A server that wants TLS and a client's certificate; its port for TLS, who vouches for it, and what we show."""
    import trustme

    authority = trustme.CA()
    ca = folder / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    server = issued(folder / "server.pem", authority, LOOPBACK, "localhost")
    client = issued(folder / "client.pem", authority, "machine-1.example")
    port = free_port()
    words = ("--tls-port", str(port), "--tls-cert-file", str(server), "--tls-key-file", str(server))
    with redis(folder, *words, "--tls-ca-cert-file", str(ca), *more) as running:
        yield running, port, ca, client


def with_user(folder: Path) -> tuple[str, ...]:
    """Options for a server in which the default user may do nothing, and another one what a ledger needs."""
    acl = folder / "users.acl"
    acl.write_text(f"user default off\nuser {USER} on >{PASSWORD} resetchannels ~netguard:mail:* -@all {RIGHTS}\n")
    return "--aclfile", str(acl)

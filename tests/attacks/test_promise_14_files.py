"""Promise 14, over years: the log of a real service survives logrotate, full disks and other users."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import stat
import subprocess
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen

from tests.popserver import PATIENCE, TWISTD, Peer, Site, environment
from tests.programs import needs, path_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOBODY = 65534


@frozen
class Logging:
    """A service that logs into a file.

    Args:
        process: the service.
        path: the file.
    """

    process: subprocess.Popen[bytes]
    path: Path

    def rows(self, name: str = "log") -> list[dict[str, Any]]:
        """The events in one of the files."""
        path = self.path.with_name(name)
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def named(self, event: str, *names: str) -> list[dict[str, Any]]:
        """The events of a name, in these files."""
        return [row for name in names or ("log",) for row in self.rows(name) if row["event"] == event]

    def wait(self, true: Callable[[], Any]) -> Any:
        """Wait until something is true; fail when the service ends before."""
        end = monotonic() + PATIENCE
        while monotonic() < end and self.process.poll() is None:
            if found := true():
                return found
            sleep(0.02)
        pytest.fail("it did not come true:\n" + self.path.read_text()[-2000:])

    def visit(self, count: int = 1) -> None:
        """Connect and leave so many times; each is a line that says ``session``."""
        (port,) = [row["server.port"] for row in self.wait(lambda: self.named("listening", *self.names()))]
        for _ in range(count):
            with Peer(port) as peer:
                assert peer.ask(b"QUIT").startswith(b"+OK")

    def names(self) -> list[str]:
        """The log and what it was rotated to."""
        return sorted(each.name for each in self.path.parent.glob("log*"))


@contextmanager
def service(site: Site, *words: str, twistd: tuple[str, ...] = ()) -> Iterator[Logging]:
    """A netguard-pop in the foreground that logs into a file of its own folder."""
    options = [*site.options, "--listen", "tcp:0:interface=127.0.0.1", *words]
    with running(site.folder, [*twistd, "netguard-pop", "--log-format", "json", *options]) as log:
        yield log


@contextmanager
def running(folder: Path, words: list[str]) -> Iterator[Logging]:
    """A twistd in the foreground that logs into a file of its own folder."""
    path = folder / "logs" / "log"
    path.parent.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [TWISTD, "-n", "--pidfile=", "--logfile", str(path), *words],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
    )
    try:
        yield Logging(process, path)
    finally:
        process.terminate()
        status = process.wait(PATIENCE)
    assert status == 0


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Accounts and mail."""
    return Site.make(tmp_path)


@needs("logrotate")
@pytest.mark.parametrize("how", ["HUP", "USR1", "nothing", "copytruncate"])
def test_logrotate_loses_no_line(how: str, site: Site) -> None:
    """The real one, three times, told by either signal, not at all, or by copying: every session is in some file."""
    with service(site, "--log-size", "off") as log:
        told = "" if how in ("nothing", "copytruncate") else f"postrotate\nkill -{how} {log.process.pid}\nendscript"
        rule = "copytruncate" if how == "copytruncate" else "create 0640"
        settings = site.folder / "logrotate.conf"
        settings.write_text(f"{log.path} {{\nrotate 9\n{rule}\n{told}\n}}\n")
        settings.chmod(0o600)
        for number in range(1, 4):
            log.visit(20)
            log.wait(lambda: len(log.named("session", *log.names())) == 20 * number)  # noqa: B023 - called at once
            command = [path_of("logrotate") or "", "-f", "-s", str(site.folder / "state"), str(settings)]
            subprocess.run(command, check=True, capture_output=True)
        log.visit(20)
        log.wait(lambda: len(log.named("session", *log.names())) == 80)
        assert stat.S_IMODE(log.path.stat().st_mode) == 0o640
        assert log.named("log_stuck", *log.names()) == []
        while not log.rows():
            log.visit()


def test_rotation_of_its_own_is_bounded(site: Site) -> None:
    """In size and in number, whatever comes."""
    with service(site, "--log-size", "4kB", "--log-keep", "2") as log:
        log.wait(lambda: log.named("listening"))
        (port,) = [row["server.port"] for row in log.named("listening")]
        for _ in range(60):
            with Peer(port) as peer:
                peer.ask(b"QUIT")
        log.wait(lambda: len(log.names()) == 3)
        for name in log.names():
            assert log.path.with_name(name).stat().st_size <= 4000
            assert log.rows(name)
            assert stat.S_IMODE(log.path.with_name(name).stat().st_mode) & ~0o640 == 0


def test_a_full_disk_stops_nothing_and_what_was_lost_is_told(site: Site) -> None:
    """No file of the process may grow: sessions go on, and once there is room, the log says how many are missing."""
    with service(site, "--log-size", "off") as log:
        log.visit(3)
        log.wait(lambda: len(log.named("session")) == 3)
        pid = log.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (log.path.stat().st_size + 30, before[1]))
        size = log.path.stat().st_size
        log.visit(10)
        assert log.path.stat().st_size == size
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        log.visit(2)
        (lost,) = log.wait(lambda: log.named("log_lost"))
        assert (lost["count"] > 0, lost["reason"]) == (True, "File too large")
        log.wait(lambda: len(log.named("session")) + len(log.named("closed")) + lost["count"] == 2 * 15)
        assert all(json.loads(line) for line in log.path.read_text().splitlines())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("mode", [0o755, 0o777])
def test_another_user_can_reopen_the_file_and_says_what_it_cannot_do(mode: int) -> None:
    """With --uid: the file is that user's. In a folder of root's it cannot be rotated, which is told at the start."""
    with TemporaryDirectory(dir="/var/tmp") as name:  # pytest's own are closed to others
        site = Site.make(Path(name))
        for each in (site.folder, site.accounts, site.folder / "mail", *site.folder.glob("mail/**/*")):
            os.chown(each, NOBODY, NOBODY)
        folder = site.folder / "logs"
        folder.mkdir()
        folder.chmod(mode)
        with service(site, twistd=("--uid", str(NOBODY), "--gid", str(NOBODY))) as log:
            log.visit(1)
            log.wait(lambda: log.named("session"))
            assert (log.path.stat().st_uid, stat.S_IMODE(log.path.stat().st_mode) & 0o007) == (NOBODY, 0)
            stuck = [row["reason"] for row in log.named("log_stuck")]
            expected = f"cannot rotate {log.path}: user {NOBODY} may not write in {folder}"
            assert stuck == ([expected] if mode == 0o755 else [])
            log.path.rename(folder / "log.1")
            log.path.touch(0o640)
            os.chown(log.path, NOBODY, NOBODY)
            log.process.send_signal(signal.SIGHUP)
            log.wait(lambda: log.named("reloaded"))
            log.visit(1)
            log.wait(lambda: log.named("session"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can go into a chroot")
def test_in_a_chroot_the_file_is_rotated_and_reopened(tmp_path: Path) -> None:
    """Under the path that it has there; another plugin's service, under netguard-wrap."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "null").touch()  # ports keep it open
    wrapped = ["portforward", "--port", "tcp:0:interface=127.0.0.1", "--host", "127.0.0.1", "--dest_port", "9"]
    words = ["--chroot", str(tmp_path), "netguard-wrap", "--log-format", "json", "--log-size", "4kB"]
    with running(tmp_path, [*words, "--log-keep", "1", "--", *wrapped]) as log:
        (port,) = log.wait(lambda: [row["server.port"] for row in log.named("listening")])

        def come() -> None:
            socket.create_connection(("127.0.0.1", port), PATIENCE).close()

        def rotated() -> bool:
            come()
            return len(log.names()) > 1

        log.wait(rotated)
        assert log.names() == ["log", "log.1"]
        for number in (signal.SIGUSR1, signal.SIGHUP):
            log.path.rename(log.path.with_name("moved"))
            log.process.send_signal(number)
            log.wait(log.path.exists)
        assert log.named("log_stuck", *log.names()) == []


def test_a_log_that_is_a_link_is_refused(site: Site) -> None:
    """One line, status 1, and nothing is written to where it leads."""
    path = site.folder / "log"
    path.symlink_to(site.folder / "elsewhere")
    done = subprocess.run(
        [TWISTD, "-n", "--pidfile=", "--logfile", str(path), "netguard-pop", *site.options],
        cwd=site.folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"twistd netguard-pop: the log {path} cannot be opened: it is a symbolic link\n"
    assert not (site.folder / "elsewhere").exists()

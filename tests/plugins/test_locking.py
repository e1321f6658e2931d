"""One instance of a service under twistd: the others end with one line, and have touched nothing."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.application.service import Application, IService, IServiceCollection, MultiService

from netguard.plugins import locking
from netguard.process.inheritance import Inheritance
from netguard.process.instance import AlreadyRunningError, InstanceError, SingleInstance
from tests.popserver import PATIENCE, TWISTD, Site, environment, serving, twistd

HELLO = {"hello": b"Subject: hello\n\nhello\n"}
LISTEN = "--listen", "tcp:0:interface=127.0.0.1"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """What an operator has."""
    return Site.make(tmp_path, HELLO)


def options(**changed: Any) -> dict[str, Any]:
    """What twistd's own options are."""
    return {"pidfile": "twistd.pid", "rundir": ".", "chroot": None, "uid": None, "gid": None, "logfile": None} | changed


equip: Any = locking.equip


def as_given(lock: Any, twistd_options: Any) -> Any:
    """The options of a plugin that has checked them."""
    return SimpleNamespace(instance=lock, parent=twistd_options, inherited=None)


def test_the_lock_is_beside_the_pidfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the pidfile will be, which twistd is told, too; a path of one's own wins."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    given = options(rundir="run")
    lock = locking.take(None, given)
    assert lock is not None
    assert lock.path == tmp_path / "run" / "twistd.pid.lock"
    assert given["pidfile"] == str(tmp_path / "run" / "twistd.pid")
    lock.release()
    lock = locking.take("own.lock", options())
    assert lock is not None
    assert lock.path.absolute() == tmp_path / "own.lock"
    lock.release()


def test_under_chroot_it_is_where_the_pidfile_will_be(tmp_path: Path) -> None:
    """As it is seen from outside; what twistd is told is the name inside."""
    (tmp_path / "run").mkdir()
    given = options(chroot=str(tmp_path), pidfile="/run/x.pid")
    lock = locking.take(None, given)
    assert lock is not None
    assert (lock.path, given["pidfile"]) == (tmp_path / "run" / "x.pid.lock", "/run/x.pid")
    lock.release()


@pytest.mark.parametrize(
    ("wanted", "twistd_options"),
    [("none", options()), (None, options(pidfile="")), (None, None), (None, {"nodaemon": True})],
)
def test_without_a_name_there_is_no_lock(wanted: str | None, twistd_options: Any) -> None:
    """None was wanted, or there is no pidfile that it could be beside."""
    assert locking.take(wanted, twistd_options) is None
    service = MultiService()
    equip(service, None, as_given(None, twistd_options))
    service.setServiceParent(MultiService())


@pytest.mark.parametrize("content", [b"", b"garbage", b"1", b"-1", b"0", b"9" * 30, b"ours"])
def test_what_the_pidfile_says_is_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Whoever it names: another program's, a recycled one, or nobody."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "twistd.pid").write_bytes(content.replace(b"ours", str(os.getpid()).encode()))
    lock = locking.take(None, options())
    assert lock is not None
    assert not (tmp_path / "twistd.pid").exists()
    lock.release()


def test_a_pidfile_that_cannot_be_removed_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would stop twistd later, and with less to say."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "twistd.pid").mkdir()
    with pytest.raises(InstanceError, match="is in the way"):
        locking.take(None, options())


def test_a_refused_start_leaves_the_pidfile_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the other one's."""
    monkeypatch.chdir(tmp_path)
    lock = locking.take(None, options())
    assert lock is not None
    (tmp_path / "twistd.pid").write_text("1")
    with pytest.raises(AlreadyRunningError):
        locking.take(None, options())
    assert (tmp_path / "twistd.pid").read_text() == "1"
    lock.release()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_the_files_belong_to_the_user_of_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything else of the service starts."""
    monkeypatch.chdir(tmp_path)
    given = options(uid=65534, gid=65534, logfile="service.log")
    lock = locking.take(None, given)
    assert lock is not None
    for name in ("twistd.pid", "service.log"):
        (tmp_path / name).touch()
    application: Any = Application("test")
    service = MultiService()
    equip(service, None, as_given(lock, given))
    service.setServiceParent(application)
    first, *_ = IServiceCollection(application)
    IService(first).privilegedStartService()
    assert {path.stat().st_uid for path in tmp_path.iterdir()} == {65534}
    assert lock.path.read_text() == f"{os.getpid()}\n"
    lock.release()


def test_a_lock_that_was_handed_over_is_used_and_the_pidfile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until everything is taken over, both are the other instance's; a lock of another name is no use here."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "twistd.pid").write_text("1")
    held = SingleInstance(tmp_path / "twistd.pid.lock")
    held.acquire()
    for name, same in (("twistd.pid.lock", True), ("other.lock", False)):
        handed: Any = Inheritance(SimpleNamespace(close=lambda: None), [], os.dup(held.descriptor or 0), 7)  # type: ignore[arg-type]
        given = options()
        if same:
            lock = locking.take(None, given, handed)
            assert lock is handed.held
            assert (given["pidfile"], handed.pidfile) == ("", str(tmp_path / "twistd.pid"))
            assert (tmp_path / "twistd.pid").read_text() == "1"
            handed.sign()
            assert (tmp_path / "twistd.pid").read_text() == str(os.getpid())
        else:
            lock = locking.take(str(tmp_path / name), given, handed)
            assert handed.held is None
            handed.sign()
        assert lock is not None
        lock.release()
        handed.close()
    held.release()


# under twistd


def test_a_second_start_ends_with_one_line_and_touches_nothing(site: Site) -> None:
    """Neither log nor pidfile nor port, with status 1; and it names the process that runs."""
    words = "netguard-pop", *site.options, *LISTEN, "--lock", "here.lock"
    with serving(*words[1:], cwd=site.folder) as server:
        server.ports()
        (site.folder / "twistd.pid").write_text("1")
        before = sorted(each.name for each in site.folder.iterdir())
        second = twistd("-n", "--logfile", "second.log", *words, cwd=site.folder)
        pid = (site.folder / "here.lock").read_text().strip()
        assert (second.returncode, second.stderr.count("\n")) == (1, 1)
        assert f"is running already: process {pid} holds the lock here.lock" in second.stderr
        assert sorted(each.name for each in site.folder.iterdir()) == before
        assert (site.folder / "twistd.pid").read_text() == "1"


def test_a_killed_service_can_be_started_again(site: Site) -> None:
    """Its lock is free, and its pidfile is removed."""
    words = [TWISTD, "-n", "--logfile=-", "netguard-pop", "--log-format", "json", *site.options, *LISTEN]
    with subprocess.Popen(words, cwd=site.folder, env=environment(), stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert any('"listening"' in line for line in first.stdout)
        first.send_signal(signal.SIGKILL)
        first.wait(PATIENCE)
    assert (site.folder / "twistd.pid").exists()
    with serving(*site.options, *LISTEN, cwd=site.folder) as server:
        assert server.ports()


def test_the_lock_names_the_daemon(site: Site) -> None:
    """Not the process that was started: that one has ended."""
    started = twistd("netguard-pop", *site.options, *LISTEN, cwd=site.folder)
    assert started.returncode == 0, started.stderr
    second = twistd("netguard-pop", *site.options, *LISTEN, cwd=site.folder)
    daemon = int((site.folder / "twistd.pid").read_text())
    try:
        assert second.returncode == 1
        assert f"process {daemon} holds the lock" in second.stderr
    finally:
        os.kill(daemon, signal.SIGTERM)


def test_of_twenty_starts_at_once_one_runs(site: Site) -> None:
    """Nineteen end with one line that names it, whatever stood in the pidfile before."""
    (site.folder / "twistd.pid").write_text("garbage")
    words = [TWISTD, "-n", "netguard-pop", *site.options, *LISTEN]
    starts = [
        subprocess.Popen(words, cwd=site.folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _ in range(20)
    ]
    running: list[subprocess.Popen[bytes]] = []
    ended: list[bytes] = []
    for each in starts:
        try:
            _, told = each.communicate(timeout=PATIENCE if running else PATIENCE * 2 / len(starts))
            ended.append(told)
        except subprocess.TimeoutExpired:
            running.append(each)
    alive = [each for each in running if each.poll() is None]
    for each in running:
        each.terminate()
        _, told = each.communicate(timeout=PATIENCE)
        if each not in alive:
            ended.append(told)
    assert len(alive) == 1
    assert len(ended) == 19
    assert all(f"process {alive[0].pid} holds the lock".encode() in told for told in ended)
    assert all(told.count(b"\n") == 1 for told in ended)

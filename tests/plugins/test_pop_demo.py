"""The demonstration of netguard-pop: what it makes, and that what it shows works when it is pasted."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netguard.accounts.credentials import APOP, SCRAM
from netguard.accounts.interface import AccountsTrouble
from netguard.accounts.store import Store
from netguard.plugins import pop_demo
from netguard.plugins.pop_demo import USER, Demo, samples
from tests.popserver import PATIENCE, ROOT, Output, Server, environment, on_the_wire, serving, stored

CONTENTS = dict(samples())


@pytest.fixture
def demo(tmp_path: Path) -> Demo:
    """A demonstration that has been made, in a folder whose name needs quotes."""
    made = Demo(tmp_path / "a demo's folder")
    made.prepare()
    return made


def test_makes_all_that_is_needed(demo: Demo) -> None:
    """It makes mail of every sort, an account with both credentials, and files that only their owner may read."""
    mailbox = demo.directory / "mail" / USER
    assert stored(mailbox) == list(CONTENTS.values())
    assert any((mailbox / "new").iterdir())
    assert any((mailbox / "cur").iterdir())
    store = Store(demo.accounts)
    (user,) = store.users()
    secret = store.secret(USER, APOP)
    store.close()
    assert (user.name, user.kinds) == (USER, (APOP, SCRAM))
    assert demo.secret.read_text() == f"{secret}\n"
    for path in (demo.accounts, demo.secret, demo.netrc, demo.certificate):
        assert path.stat().st_mode & 0o077 == 0
    assert demo.directory.stat().st_mode & 0o077 == 0


def test_the_samples_are_varied() -> None:
    """Among the samples is all that a server can get wrong: dots, both line ends, junk, no end, nothing, much."""
    assert CONTENTS["empty"] == b""
    assert b"\n.\n" in CONTENTS["dots"]
    assert b"\r\n" in CONTENTS["crlf"]
    assert re.search(rb"\r[^\n]", CONTENTS["bare-cr"])
    assert not CONTENTS["no-newline"].endswith(b"\n")
    assert {bytes([each]) for each in range(256)} - {b"\r", b"\n"} <= {bytes([each]) for each in CONTENTS["binary"]}
    assert len(CONTENTS["large"]) > 2_000_000
    assert max(map(len, CONTENTS["long-line"].split(b"\n"))) >= 100_000
    assert sum(content.count(b"\0") for content in CONTENTS.values())


def test_a_second_time(demo: Demo) -> None:
    """Made again in the same folder, it keeps account and mail as they are, and has a fresh certificate."""
    mailbox = demo.directory / "mail" / USER
    next((mailbox / "new").iterdir()).unlink()
    before = stored(mailbox), demo.secret.read_text(), demo.accounts.read_bytes()
    certificate = demo.certificate.read_bytes()
    demo.prepare()
    assert (stored(mailbox), demo.secret.read_text(), demo.accounts.read_bytes()) == before
    assert demo.certificate.read_bytes() != certificate


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    """A folder with anything else in it is refused, and nothing is put there."""
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is not empty and holds no demonstration; name another directory for --demo"):
        Demo(tmp_path).prepare()
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_an_interrupted_one_is_not_taken_for_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was interrupted before its account was complete is refused later, instead of served without its account."""

    def interrupt(*_: object) -> str:
        raise KeyboardInterrupt

    demo = Demo(tmp_path / "demo")
    with monkeypatch.context() as patched:
        patched.setattr(pop_demo, "scram_verifier", interrupt)
        with pytest.raises(KeyboardInterrupt):
            demo.prepare()
    with pytest.raises(ValueError, match="holds no demonstration"):
        demo.prepare()


def test_a_folder_that_others_may_change(tmp_path: Path) -> None:
    """In a folder that others may write to, no account is made."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(AccountsTrouble, match="which others may write to"):
        Demo(folder).prepare()


# The commands, as a person pastes them


NEEDS = {"curl": "curl", "openssl": "openssl", "python3": "python3"}


@contextmanager
def running(demo: Demo, cwd: Path) -> Iterator[tuple[Server, dict[str, str]]]:
    """The demonstration as a person starts it, and the commands that it shows, by their titles."""
    with serving("--demo", str(demo.directory), cwd=cwd) as server:
        server.out.wait(lambda lines: "" in lines[lines.index(_last(lines)) + 1 :] if _last(lines) else False)
        lines = server.out.lines
        titles = [at for at, line in enumerate(lines) if line.startswith("# ")]
        yield server, {lines[at].removeprefix("# "): lines[at + 1] for at in titles}
        server.out.lines[:] = [line for line in lines if line.startswith("{")]


def _last(lines: list[str]) -> str:
    return next((line for line in lines if "python3 -c" in line), "")


def pasted(command: str, cwd: Path) -> bytes:
    """Run a command in a shell, as a person does who pastes it; returns what it prints."""
    ended = subprocess.run(
        ["bash", "-c", command], cwd=cwd, env=environment(), capture_output=True, timeout=PATIENCE, check=False
    )
    assert ended.returncode == 0, ended.stderr.decode(errors="replace")
    return ended.stdout


@pytest.mark.interop
@pytest.mark.skipif(not all(map(shutil.which, NEEDS)), reason=f"needs {', '.join(NEEDS)}")
def test_the_commands_work_when_pasted(demo: Demo, tmp_path: Path) -> None:
    """Each command that is shown works in a shell, also when the demonstration runs a second time."""
    for _ in range(2):
        with running(demo, tmp_path) as (server, commands):
            listing, stls, implicit, by_hand, python = (pasted(each, tmp_path) for each in commands.values())
            sizes = [len(on_the_wire(each)) for each in CONTENTS.values()]
            assert listing.split() == b" ".join(b"%d %d" % each for each in enumerate(sizes, 1)).split()
            assert stls == on_the_wire(CONTENTS["welcome"])
            assert implicit == on_the_wire(CONTENTS["dots"])
            assert by_hand.startswith(b"+OK POP3 ready <")
            assert b"\r\n+OK %d %d\r\n" % (len(sizes), sum(sizes)) in by_hand
            assert by_hand.endswith(b"+OK bye\r\n")
            assert f"({len(sizes)}, {sum(sizes)})".encode() in python
            sessions = server.wait_for("session", len(commands), user=USER, reason="quit")
    assert [each["tls"] for each in sessions] == [False, True, True, True, False]
    assert sessions[0]["mechanism"] == "apop"


def test_no_command_line_holds_the_secret(demo: Demo) -> None:
    """The secret stands in no command, since others on the machine can see those."""
    assert demo.secret.read_text().strip() not in demo.show({"plain": 1, "tls": 2})


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_demo(tmp_path: Path) -> None:
    """``make demo`` starts it and shows what to try; Ctrl-C, which reaches make and twistd alike, ends it."""
    environment_here = tmp_path / "venv"
    (environment_here / "bin").mkdir(parents=True)
    for name in ("python", "twistd"):
        (environment_here / "bin" / name).symlink_to(Path(sys.executable).with_name(name))
    for stamp in (".made", ".installed-run"):
        (environment_here / stamp).touch()
    command = ["make", "-C", str(ROOT), "demo", f"VENV={environment_here}", f"ARGS={tmp_path}/demo"]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=environment(), start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    out = Output(process.stdout)
    try:
        out.wait(lambda lines: any("python3 -c" in line for line in lines))
        os.killpg(process.pid, signal.SIGINT)
        process.wait(PATIENCE)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    out.wait(lambda _: out.ended)
    assert any("netguard-pop is serving" in line for line in out.lines)

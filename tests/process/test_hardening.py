"""What is promised of a closed process: no core, no debugger of the same user; and it goes on seeing itself."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
from typing import Any

import pytest

from netguard.process import hardening
from netguard.process.hardening import forbid_dumps, is_dumpable

NOBODY = 65534

_BECOME = "import os; os.geteuid() or (os.setgid(65534), os.setuid(65534))\n"
"""Whoever runs the tests, the process is not root's."""


def run(code: str) -> str:
    """The output of a process of its own, which is not root's."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_closed_process_leaves_no_core_and_is_no_debuggers() -> None:
    """Its limit is 0, and the kernel does not dump it for a program either."""
    assert run(
        f"import resource\nfrom netguard.process.hardening import *\n{_BECOME}"
        "print(forbid_dumps(), is_dumpable(), resource.getrlimit(resource.RLIMIT_CORE))"
    ) == ("None False (0, 0)")


def test_a_closed_process_sees_its_own_figures() -> None:
    """Memory, open files, pressure: the same as before, though the files of /proc belong to root now."""
    assert run(
        "from netguard.load.signals import Machine\nfrom netguard.process.hardening import *\n"
        "machine = Machine()\n"
        "machine.load()\n"  # while what Python reads late for it can be read
        f"{_BECOME}"
        "def seen(): return machine.resident() > 0, machine.files() > 0, machine.load() is None, machine.pressure()\n"
        "before = seen()[:3], machine.pressure() is None\n"
        "forbid_dumps()\n"
        "after = seen()[:3], machine.pressure() is None\n"
        "print(before == after, after[0][:2], len(os.listdir('/proc/self/fd')) > 0)"
    ) == ("True (True, True) True")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize(("forbid", "readable"), [("", True), ("forbid_dumps()", False)])
def test_another_process_of_the_same_user_reads_no_memory_of_a_closed_one(forbid: str, readable: bool) -> None:
    """Where it could before."""
    assert run(
        "import os, sys, time\nfrom netguard.process.hardening import *\n"
        f"{_BECOME}"
        "import ctypes\nctypes.CDLL(None).prctl(4, 1)\n"  # to become another user has closed it already
        f"{forbid}\n"
        "parent = os.getpid()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    ctypes.CDLL(None).prctl(4, 1)\n"
        "    try: open(f'/proc/{parent}/mem', 'rb').close()\n"
        "    except PermissionError: os._exit(1)\n"
        "    os._exit(0)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0)"
    ) == str(readable)


def test_what_cannot_be_done_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere than on Linux, or where something forbids it."""

    class Library:
        """A C library."""

        def __init__(self, *_: object, **__: object) -> None:
            pass

    limits: list[Any] = []
    monkeypatch.setattr(resource, "setrlimit", lambda *words: limits.append(words))
    monkeypatch.setattr(ctypes, "CDLL", Library)
    assert str(forbid_dumps()).startswith("core dumps cannot be switched off here: ")
    Library.prctl = lambda *_: 1  # type: ignore[attr-defined]
    assert str(forbid_dumps()).startswith("debuggers cannot be kept out here: ")
    assert limits == [(resource.RLIMIT_CORE, (0, 0))] * 2
    assert hardening.is_dumpable()


def test_this_process_is_as_it_was() -> None:
    """The tests closed others."""
    assert isinstance(is_dumpable(), bool)

"""`netguard lookup`."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from netguard.clients.names import Explanation
from netguard.clients.names_chain import Step
from netguard.commands import lookup
from netguard.commands.contract import Parser
from netguard.verdict import Failure, Mismatch, NoName, Timeout, Verdict, Verified
from tests.nameserver import Desk, Hand, Question, connected, result

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMAND = [sys.executable, "-c", "import sys; from netguard.cli import main; sys.exit(main())", "lookup"]
STEPS = (
    Step(
        "1.2.0.192.in-addr.arpa",
        "PTR",
        ("1.2.0.192.in-addr.arpa PTR mail.example",),
        "answered",
        "[::1]:53",
        "UDP",
        0.0021,
    ),
    Step("mail.example", "A", (), "no answer", seconds=2.5),
    Step("x.example", "A", ("192.0.2.1",), "answered", "/etc/hosts", "file"),
)


def parse(*words: str) -> argparse.Namespace:
    """What `netguard lookup` understands."""
    parser = Parser(prog="netguard lookup")
    lookup.configure(parser)
    return parser.parse_args(words)


class Reactor:
    """Runs until it is stopped, or interrupted."""

    def __init__(self, *, interrupted: bool = False) -> None:
        self.interrupted = interrupted
        self.calls: list[Any] = []
        self.stopped = self.runs = False

    def callWhenRunning(self, call: Any, *about: Any) -> None:
        """Later."""
        self.calls.append(partial(call, *about))

    def callLater(self, _delay: float, call: Any) -> None:
        """When it runs, and knows what an interrupt is."""
        assert self.runs
        self.calls.append(call)

    def addSystemEventTrigger(self, phase: str, event: str, call: Any) -> None:
        """An interrupt is a shutdown."""
        if self.interrupted:
            self.calls.append(call)

    def run(self) -> None:
        """Now."""
        self.runs = True
        for call in self.calls:
            call()
        assert self.stopped is not self.interrupted

    def stop(self) -> None:
        """Enough."""
        self.stopped = True


def shown(verdict: Verdict, *words: str, chain: Sequence[Step] = (), capsys: Any) -> str:
    """What is printed for a verdict."""
    explanation = Explanation(verdict, tuple(chain), 0.0123)
    arguments = parse("192.0.2.1", *words)
    (lookup._as_json if arguments.json else lookup._as_text)(arguments.address, explanation)
    return str(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("verdict", "line"),
    [
        (Verified("mail.example"), "verified, mail.example"),
        (Verified("xn--bcher-kva.example"), "verified, xn--bcher-kva.example (b\u00fccher.example)"),
        (NoName(), "no name"),
        (Mismatch(("a.example", "b.example")), "mismatch, none of a.example, b.example has this address"),
        (Mismatch(()), "mismatch, all its names are no host names"),
        (Timeout(), "timeout, nobody answered in time"),
        (Failure(2), "failure, the name servers say SERVFAIL"),
        (Failure(9), "failure, the name servers say code 9"),
        (Failure(None), "failure, no usable answer came"),
    ],
)
def test_each_verdict_is_a_line(verdict: Verdict, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The address, the verdict, the time; an international name is shown both ways."""
    assert shown(verdict, capsys=capsys) == f"192.0.2.1: {line}, after 12.3 ms\n"


def test_the_steps_follow(capsys: pytest.CaptureFixture[str]) -> None:
    """What was asked, who answered, how and when; and the records."""
    assert shown(Timeout(), chain=STEPS, capsys=capsys).splitlines()[1:] == [
        "  PTR of 1.2.0.192.in-addr.arpa: answered by [::1]:53 over UDP, 2.1 ms",
        "    1.2.0.192.in-addr.arpa PTR mail.example",
        "  A of mail.example: no answer, 2500.0 ms",
        "  A of x.example: answered by /etc/hosts, 0.0 ms",
        "    192.0.2.1",
    ]


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (Verified("mail.example"), {"verdict": "verified", "name": "mail.example", "names": [], "rcode": None}),
        (NoName(), {"verdict": "no-name", "name": None, "names": [], "rcode": None}),
        (Mismatch(("a.example",)), {"verdict": "mismatch", "name": None, "names": ["a.example"], "rcode": None}),
        (Timeout(), {"verdict": "timeout", "name": None, "names": [], "rcode": None}),
        (Failure(2), {"verdict": "failure", "name": None, "names": [], "rcode": 2}),
    ],
)
def test_programs_read_json(verdict: Verdict, said: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """The same fields for every verdict."""
    document = json.loads(shown(verdict, "--json", chain=STEPS[:1], capsys=capsys))
    chain = document.pop("chain")
    assert document == {"address": "192.0.2.1", "seconds": 0.0123, **said}
    assert chain == [
        {
            "name": "1.2.0.192.in-addr.arpa",
            "type": "PTR",
            "outcome": "answered",
            "answers": ["1.2.0.192.in-addr.arpa PTR mail.example"],
            "server": "[::1]:53",
            "over": "UDP",
            "seconds": 0.0021,
        }
    ]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "the following arguments are required: ADDRESS"),
        (["mail.example"], "'mail.example' is not an IP address"),
        (["\x1b[2J"], r"'\x1b[2J' is not an IP address"),
        (["192.0.2.1", "--dns", "dns.example"], "'dns.example' is not one to 8 IP addresses of name servers"),
        (["192.0.2.1", "--within", "soon"], "'soon' is not a duration"),
        (["192.0.2.1", "--proxy", "ftp://proxy.example"], "the proxy's URL has to begin with one of"),
        (["192.0.2.1", "--proxy", "socks5://me:hunter2@127.0.0.1"], "others see a secret that stands here"),
        (["192.0.2.1", "--proxy", "env"], "the environment has no proxy"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the secret, where there is one."""
    for name in ("ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SystemExit) as ended:
        parse(*words)
    said = capsys.readouterr().err
    assert (ended.value.code, said.count("\n")) == (1, 1)
    assert complaint in said
    assert "hunter2" not in said
    assert "\x1b" not in said


def test_the_server_and_the_time_are_those_of_the_arguments() -> None:
    """And the address, whatever is remembered."""
    desk, reactor = Desk(), Hand()
    host, port = desk.address
    looking = lookup.look_up(reactor, parse("192.0.2.1", "--dns", f"{host}:{port}", "--within", "1500ms"))
    desk.asked()
    reactor.advance(1.5)
    assert result(looking).verdict == Timeout()
    assert reactor.idle
    desk.close()


def test_a_proxy_is_gone_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over TCP, and nothing is asked over UDP; its secret comes from the environment."""
    monkeypatch.setenv("ALL_PROXY", "socks5h://me:hunter2@127.0.0.1:1080")
    reactor = Hand()
    looking = lookup.look_up(reactor, parse("192.0.2.1", "--dns", "192.0.2.53", "--proxy", "env"))
    ((host, port, factory, _, _),) = reactor.tcpClients
    assert (host, port) == ("127.0.0.1", 1080)
    protocol, wire = connected(factory)
    protocol.dataReceived(b"\x05\x02")
    assert b"hunter2" in wire.value()
    protocol.dataReceived(b"\x01\x00")
    assert b"\xc0\x00\x02\x35\x00\x35" in wire.value()
    wire.clear()
    protocol.dataReceived(b"\x05\x00\x00\x01\0\0\0\0\0\0")
    question = Question(wire.value()[2:])
    assert question.name == b"1.2.0.192.in-addr.arpa"
    answer = question.answer(rCode=3)
    protocol.dataReceived(len(answer).to_bytes(2, "big") + answer)
    found = result(looking)
    assert (found.verdict, found.chain[0].over) == (NoName(), "TCP")


def test_the_reactor_runs_until_there_is_a_result() -> None:
    """Also when it was there before."""
    reactor = Reactor()
    assert lookup._run_until(reactor, lambda: succeed(Explanation(NoName(), (), 0.0))).verdict == NoName()


def test_an_interrupt_is_one() -> None:
    """No verdict was found, and none is shown."""
    with pytest.raises(KeyboardInterrupt):
        lookup._run_until(Reactor(interrupted=True), Deferred)
    stopped: Any = Reactor()
    stopped.run = lambda: None  # before anything was begun
    with pytest.raises(KeyboardInterrupt):
        lookup._run_until(stopped, Deferred)


def test_a_defect_is_not_hidden() -> None:
    """Should there be one."""
    with pytest.raises(ZeroDivisionError):
        lookup._run_until(Reactor(), lambda: fail(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        lookup._run_until(Reactor(), lambda: 1 // 0)  # type: ignore[arg-type, return-value]


# as a process


def test_the_command_asks_the_server_and_ends_with_the_verdict() -> None:
    """Status 2: the address has no name."""
    desk = Desk()
    host, port = desk.address
    words = ["192.0.2.1", "--dns", f"{host}:{port}", "--within", "30s", "--json"]
    running = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    desk._socket.settimeout(30)
    question = desk.asked()
    desk.say(question, question.answer(rCode=3))
    out, err = running.communicate(timeout=30)
    desk.close()
    assert (running.returncode, err) == (2, b"")
    assert json.loads(out)["verdict"] == "no-name"


def test_the_command_can_be_interrupted() -> None:
    """Status 130, and no traceback."""
    desk = Desk()
    host, port = desk.address
    words = ["192.0.2.1", "--dns", f"{host}:{port}", "--within", "60s"]
    running = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    desk._socket.settimeout(30)
    desk.asked()  # by then it knows what an interrupt is
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    desk.close()
    assert (running.returncode, out, err) == (130, b"", b"")


def test_the_machines_own_name_needs_no_server() -> None:
    """Status 0, from the hosts file; without one there is nobody to ask, and that is told within the time."""
    words = ["127.0.0.1", "--dns", "192.0.2.53", "--within", "100ms"]
    done = subprocess.run([*COMMAND, *words], capture_output=True, timeout=30, check=False)
    known = any(line.split()[:1] == ["127.0.0.1"] for line in Path("/etc/hosts").read_text().splitlines())
    assert (done.returncode, done.stderr) == (0 if known else 3, b"")
    assert done.stdout.startswith(b"127.0.0.1: verified, " if known else b"127.0.0.1: ")

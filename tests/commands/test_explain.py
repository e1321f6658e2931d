"""Tests for `netguard explain`: words on a command line, and what is answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from netguard.cli import main


def explained(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    """The exit status, and the JSON."""
    status = main(["explain", "--json", *words])
    return status, json.loads(capsys.readouterr().out)


def test_a_peer_that_is_admitted(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 0, and every guard on a line."""
    assert main(["explain", "--from", "192.0.2.7"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("a connection from 192.0.2.7, port 40000:\n")
    assert "  IdleTimeout       limits        idle 10m\n" in told
    assert told.endswith("\nadmitted\n")


def test_a_peer_that_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, and what decided."""
    words = ("--max-per-peer", "2", "--connections", "2", "--from", "192.0.2.7")
    status, document = explained(capsys, *words)
    assert (status, document["verdict"]) == (2, "refused")
    assert document["guards"][-1] | {"options": {}} == {
        "guard": "ConnectionLimit",
        "outcome": "refuses",
        "options": {},
        "option": "max-per-peer",
        "limit": "2",
        "observed": "3",
        "reason": document["reason"],
    }
    assert main(["explain", *words]) == 2
    assert "refused: too many connections are open from this peer" in capsys.readouterr().out


def test_options_come_from_the_file_too_and_flags_win(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As with the services."""
    file = tmp_path / "guards.toml"
    file.write_text("[guards]\nmax-per-peer = 1\n")
    common = ("--from", "192.0.2.7", "--connections", "1", "--config", str(file))
    assert explained(capsys, *common)[0] == 2
    assert explained(capsys, *common, "--max-per-peer", "2")[0] == 0
    assert explained(capsys, *common, "--observe", "ConnectionLimit", "--observe", "IdleTimeout")[0] == 0


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("192.0.2.7", "192.0.2.7", 40000),
        ("192.0.2.7:25", "192.0.2.7", 25),
        ("2001:db8::1", "2001:db8::1", 40000),
        ("[2001:db8::1]", "2001:db8::1", 40000),
        ("[2001:DB8::1]:pop3", "2001:db8::1", 110),
    ],
)
def test_addresses(capsys: pytest.CaptureFixture[str], address: str, host: str, port: int) -> None:
    """With and without a port."""
    _, document = explained(capsys, "--for", "netguard-wrap", "--from", address)
    assert (document["from"], document["port"]) == (host, port)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--from", "1.2.3"], "'1.2.3' is no address, such as"),
        (["--from", "[::1"], "'[::1' is no address"),
        (["--from", "1.2.3.4:99999"], "'1.2.3.4:99999' is no address"),
        (["--from", "::1", "--connections", "-1"], "'-1' is not a number of connections"),
        (["--from", "::1", "--name", "a\nb"], "'a\\nb' is neither a host name nor one of UNKNOWN, PARANOID"),
        (["--from", "::1", "--name", ".example"], "'.example' is neither a host name nor"),
        (["--from", "::1", "--name", "10.0.0.0/8"], "'10.0.0.0/8' is neither a host name nor"),
        (["--from", "::1", "--load", "lug=1"], "unknown signal 'lug'; did you mean 'lag'?"),
        (["--from", "::1", "--idle", "soon"], "option idle: 'soon' is not a duration"),
        (["--from", "::1", "--idle", "1", "--idle", "2"], "--idle is given twice"),
        (["--from", "::1", "--config", "/none.toml"], "/none.toml: No such file or directory"),
        (["--from", "::1", "--idel", "1"], "unknown option --idel"),
        ([], "--from"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, with status 1."""
    try:
        status: Any = main(["explain", *words])
    except SystemExit as end:
        status = end.code
    told = capsys.readouterr()
    assert status == 1
    assert complaint in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""


@pytest.mark.parametrize(
    ("words", "status", "last"),
    [
        (("--allow", "10.0.0.0/8", "--deny", "ALL"), 2, "refused: the access rules do not let the peer in"),
        (("--deny", "ALL", "--allow", "10.0.0.0/8"), 2, "refused: the access rules do not let the peer in"),
        (("--allow", "192.0.2.0/24", "--deny", "ALL"), 0, "admitted"),
        (("--deny", "PARANOID"), 3, "waits: for what a look-up finds (--name says that)"),
        (("--deny", "PARANOID", "--name", "paranoid"), 2, "refused:"),
        (("--deny", "KNOWN", "--name", "UNKNOWN"), 0, "admitted"),
        (("--deny", "UNKNOWN", "--name", "TIMEOUT"), 2, "refused: the access rules need the peer's name"),
        (("--deny", "UNKNOWN", "--name", "TIMEOUT", "--names-fail", "open"), 0, "admitted"),
        (("--deny", ".bad.example", "--name", "A.Bad.Example."), 2, "refused: the access rules do not let the peer in"),
        (("--deny", ".bad.example", "--name", "notbad.example"), 0, "admitted"),
        (("--names", "require"), 3, "waits: for what a look-up finds (--name says that)"),
        (("--names", "require", "--name", "FAILURE"), 2, "refused: the peer's name was not verified, observed failure"),
        (("--names", "require", "--name", "a.example"), 0, "admitted"),
        (("--names", "require", "--name", "UNKNOWN", "--observe", "VerifiedName"), 0, "admitted"),
        (("--names", "log", "--ident", "log"), 0, "admitted"),
        (("--deny", "PARANOID", "--name", "a.example"), 0, "admitted"),
        (("--proxy-from", "192.0.2.7"), 3, "waits: for a PROXY header (--claimed says whom it names)"),
        (("--proxy-from", "192.0.2.7", "--claimed", "10.1.2.3:99"), 0, "admitted"),
        (("--proxy-from", "192.0.2.7", "--claimed", "10.1.2.3", "--deny", "10.0.0.0/8"), 2, "refused:"),
        (("--claimed", "10.1.2.3", "--proxy-from", "192.0.2.8"), 2, "refused:"),
        (("--shed", "lag>250ms", "--load", "lag=300ms"), 2, "refused: the service is overloaded"),
        (("--shed", "lag>250ms", "--load", "lag=300ms", "--exempt", "192.0.2.7"), 0, "admitted"),
    ],
)
def test_the_last_line_is_the_verdict(
    words: tuple[str, ...], status: int, last: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With rules in the order in which they stand, claims, names and load."""
    assert main(["explain", "--from", "192.0.2.7", *words]) == status
    assert capsys.readouterr().out.splitlines()[-1].startswith(last)


def test_what_is_supposed_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """So that an answer that was kept says what was asked."""
    words = ("--from", "192.0.2.7:99", "--claimed", "10.1.2.3", "--connections", "2", "--load", "lag=300ms,fds=0%")
    main(["explain", *words, "--name", "PARANOID"])
    said = "claimed 10.1.2.3, name mismatch, connections 2, lag 300ms, fds% 0"
    assert capsys.readouterr().out.splitlines()[0] == f"a connection from 192.0.2.7, port 99, {said}:"
    _, document = explained(capsys, *words, "--name", "a.example")
    supposed = {"claimed": "10.1.2.3", "name": "a.example", "connections": "2", "lag": "300ms", "fds%": "0"}
    assert document["supposed"] == supposed

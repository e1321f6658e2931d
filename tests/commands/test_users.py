"""`netguard users`: what all its verbs have in common."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import pytest

from netguard.commands import users, users_add, users_import, users_otp, users_show
from netguard.commands.contract import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., tuple[str, str]]
    Parse = Callable[..., argparse.Namespace]


def test_the_file_may_stand_behind_the_verb(parse: Parse, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """-a is taken before and behind the verb, and missing it is one clear line."""
    users.run(parse("add", "-a", str(path), "alice", "--with", "apop", "--generate"))
    users.run(parse("list", "--accounts", str(path)))
    assert "alice" in capsys.readouterr().out
    with pytest.raises(Refusal, match="give -a FILE"):
        users.run(parse("list"))


VERBS = ("add", "set", "otp", "list", "show", "verify", "import", "remove")


@pytest.mark.parametrize(
    "verb",
    [
        ("list",),
        ("show", "alice"),
        ("verify",),
        ("otp", "alice"),
        ("import", "/dev/null"),
        ("remove", "alice"),
        ("add", "bob", "--generate"),
        ("set", "alice", "--expire", "1"),
    ],
)
def test_a_file_that_is_open_to_others_is_refused(run: Run, path: Path, verb: tuple[str, ...]) -> None:
    """Every verb refuses it with the command that mends it."""
    run("add", "alice", "--with", "apop", "--generate")
    path.chmod(0o640)
    with pytest.raises(Refusal, match=f"mode 0640, must be 0600.*chmod 600 {path}"):
        run(*verb)


@pytest.mark.parametrize(
    "verb", [("list",), ("show", "x"), ("verify",), ("otp", "x"), ("remove", "x"), ("set", "x", "--expire", "1")]
)
def test_only_add_makes_a_file(run: Run, path: Path, verb: tuple[str, ...]) -> None:
    """A wrong path is told, not made."""
    with pytest.raises(Refusal, match="No such file"):
        run(*verb)
    assert not path.exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("add", "a/b", "--generate"), "has a '/'"),
        (("add", "..", "--generate"), "begins with a dot"),
        (("add", "a b", "--generate"), "white space"),
        (("add", "a\x1b[31m", "--generate"), r"'a\x1b[31m'"),
        (("add", "a\udcff", "--generate"), "invisible"),
        (("remove", "a\udcff"), "invisible"),
        (("add", "x" * 65, "--generate"), "longer than 64 octets"),
        (("add", "alice"), "--generate --secret-file is required"),
        (("add", "alice", "--generate", "--secret-file", "-"), "not allowed with"),
        (
            ("add", "alice", "--generate", "--with", "apop,aopp"),
            "'aopp' is not a kind of credential; there are: scram-sha-256, password, apop, otp, totp",
        ),
        (("add", "alice", "--generate", "--with", ""), "'' is not a kind"),
        (("add", "alice", "--generate", "--with", "apop,apop"), "given twice"),
        (("add",), "required: NAME"),
        ((), "required: VERB"),
        (
            ("set", "alice", "--without", "colour"),
            "'colour' is not a kind of credential or a setting; there are: scram",
        ),
        (("set", "alice", "--without", "apop,apop"), "given twice"),
        (("set", "alice", "--mailbox", "srv"), "'srv' is not an absolute path such as /srv/mail/alice"),
        (("set", "alice", "--mailbox", "a\x1b[31m"), r"'a\x1b[31m' is not an absolute path"),
        (("set", "alice", "--expire", "0"), "'0' is not a number of days"),
        (("otp", "alice", "--count", "0"), "'0' is not a number from 1 to 9998"),
        (("otp", "alice", "--count", "9999"), "'9999' is not a number from 1 to 9998"),
        (("otp", "alice", "--count", "\u0661"), r"'\u0661' is not a number"),
        (("otp", "alice", "--count", "-1"), "is not a number from 1 to 9998"),
        (("otp", "alice", "--algorithm", "md4"), "invalid choice"),
        (("import",), "required: PASSWD"),
        (("import", "x", "--with", "x"), "'x' is not a kind of credential"),
    ],
)
def test_a_bad_argument_is_one_line(
    parse: Parse, words: tuple[str, ...], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is typed wrong ends with one printable line and status 1."""
    with pytest.raises(SystemExit) as ended:
        parse(*words)
    err = capsys.readouterr().err
    assert ended.value.code == 1
    assert line in err
    assert err.endswith("--help'\n")
    assert err[:-1].isprintable()


@pytest.mark.parametrize("words", [("--help",), *((verb, "--help") for verb in VERBS)])
def test_help_teaches(parse: Parse, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Each help says what the verb does; those that need it show examples; none is wider than a screen."""
    with pytest.raises(SystemExit) as ended:
        parse(*words)
    out = capsys.readouterr().out
    assert ended.value.code == 0
    assert "-a FILE" in out
    assert max(map(len, out.splitlines())) <= 110
    if words[0] not in {"list", "show", "remove"}:
        assert "examples:\n  netguard users -a " in out


def test_every_example_in_the_help_is_understood(parse: Parse) -> None:
    """What the help shows can be pasted: each line that begins with the command parses."""
    pages = [
        users._EXAMPLES,
        users_add._ADD_EXAMPLES,
        users_add._SET_EXAMPLES,
        users_otp._EXAMPLES,
        users_import._EXAMPLES,
        users_show._VERIFY_EXAMPLES,
    ]
    lines = [line for page in pages for line in page.replace("\\\n", "").splitlines()]
    shown = [line for line in lines if "netguard" in line]
    assert len(shown) == 19
    for line in shown:
        words = line.split("netguard users ")[1].split("     (")[0].split()
        assert "accounts" in parse(*words)

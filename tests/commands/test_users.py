"""`netguard users`."""

from __future__ import annotations

import argparse
import errno
import io
import json
import os
import re
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from netguard.accounts import passwords
from netguard.accounts.store import Store
from netguard.commands import users
from netguard.commands.contract import Parser, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., tuple[str, str]]

SECRET = "a-secret-of-twenty-characters"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the accounts are."""
    return tmp_path / "accounts"


@pytest.fixture
def secrets(tmp_path: Path) -> Callable[[str], str]:
    """Writes a secret file and returns its path."""

    def write(text: str) -> str:
        file = tmp_path / "secret"
        file.touch(mode=0o600)
        file.write_text(text)
        return str(file)

    return write


def parse(*words: str) -> argparse.Namespace:
    """What `netguard users` understands."""
    parser = Parser(prog="netguard users")
    users.configure(parser)
    return parser.parse_args(words)


@pytest.fixture
def run(path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    """Runs `netguard users -a PATH ...`; what it printed to standard output and to standard error."""

    def call(*words: str) -> tuple[str, str]:
        users.run(parse("-a", str(path), *words))
        return capsys.readouterr()

    return call


def stored(path: Path, name: str, kind: str) -> str | None:
    """What the file keeps."""
    store = Store(path)
    try:
        return store.secret(name, kind)
    finally:
        store.close()


def test_generate_prints_the_secret_once_and_stores_it(run: Run, path: Path) -> None:
    """The one line on standard output is kind and secret; the rest is for the person."""
    out, err = run("add", "alice", "--with", "apop", "--generate")
    printed = re.fullmatch(r"apop ([a-z2-7]{32})\n", out)
    assert printed
    assert stored(path, "alice", "apop") == printed[1]
    assert stored(path, "alice", "password") is None
    assert "added alice with apop" in err
    assert "not shown again" in err
    assert printed[1] not in err
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_generate_makes_one_secret_for_each_kind(run: Run, path: Path) -> None:
    """APOP and password never share a secret, and the printed password matches the stored verifier."""
    out, _ = run("add", "alice", "--with", "password,apop", "--generate")
    printed = dict(line.split(" ") for line in out.splitlines())
    assert list(printed) == ["password", "apop"]
    assert printed["apop"] != printed["password"]
    assert stored(path, "alice", "apop") == printed["apop"]
    assert passwords.matches(stored(path, "alice", "password") or "", printed["password"].encode())


def test_password_is_the_default_kind(run: Run, path: Path, secrets: Callable[[str], str]) -> None:
    """APOP, whose secret lies open on the server, is given only to who asks."""
    out, err = run("add", "alice", "--secret-file", secrets(SECRET + "\n"))
    assert out == ""
    assert SECRET not in err
    assert passwords.matches(stored(path, "alice", "password") or "", SECRET.encode())
    assert stored(path, "alice", "apop") is None


def test_a_given_apop_secret_is_kept_as_given(run: Run, path: Path, secrets: Callable[[str], str]) -> None:
    """With one kind, the one line is its secret."""
    out, err = run("add", "alice", "--with", "apop", "--secret-file", secrets(SECRET))
    assert (out, SECRET in err, "warning" in err) == ("", False, False)
    assert stored(path, "alice", "apop") == SECRET


def test_one_secret_for_both_kinds_is_the_password(run: Run, path: Path, secrets: Callable[[str], str]) -> None:
    """The APOP secret is then its own, and is printed."""
    out, err = run("add", "alice", "--with", "apop,password", "--secret-file", secrets(SECRET))
    printed = re.fullmatch(r"apop ([a-z2-7]{32})\n", out)
    assert printed
    assert stored(path, "alice", "apop") == printed[1]
    assert passwords.matches(stored(path, "alice", "password") or "", SECRET.encode())
    assert SECRET not in err


def test_two_secrets_for_both_kinds_go_by_their_order(run: Run, path: Path, secrets: Callable[[str], str]) -> None:
    """Each line is the secret of the kind in its place of --with."""
    out, _ = run("add", "alice", "--with", "password,apop", "--secret-file", secrets(f"first\n{SECRET}\n"))
    assert out == ""
    assert passwords.matches(stored(path, "alice", "password") or "", b"first")
    assert stored(path, "alice", "apop") == SECRET


@pytest.mark.parametrize("lines", ["one\ntwo\n", "one\ntwo\nthree\n"])
def test_more_secrets_than_kinds_are_refused(run: Run, path: Path, secrets: Callable[[str], str], lines: str) -> None:
    """A surplus line is more likely a mistake than a wish, and nothing is added."""
    with pytest.raises(Refusal, match=f"{lines.count(chr(10))} secrets for 1 kinds"):
        run("add", "alice", "--secret-file", secrets(lines))
    assert not path.exists()


def test_three_secrets_for_two_kinds_are_refused(run: Run, secrets: Callable[[str], str]) -> None:
    """So is a third line for two kinds."""
    with pytest.raises(Refusal, match="3 secrets for 2 kinds"):
        run("add", "alice", "--with", "apop,password", "--secret-file", secrets("one\ntwo\nthree"))


def test_a_short_apop_secret_is_warned_of(run: Run, secrets: Callable[[str], str]) -> None:
    """It is taken, for it may be what a client has, but the operator is told what it is worth."""
    _, err = run("add", "alice", "--with", "apop", "--secret-file", secrets("tanstaaf"))
    assert "warning: the APOP secret has 8 characters" in err
    assert "tanstaaf" not in err


def test_a_taken_name_is_refused(run: Run) -> None:
    """The same name, and one that is too much like it, are one clear line; the user stays."""
    run("add", "alice", "--with", "apop", "--generate")
    with pytest.raises(Refusal, match=r"there is a user 'alice' already; 'remove'"):
        run("add", "alice", "--with", "apop", "--generate")
    with pytest.raises(Refusal, match="'alice' already, which is too much like 'Alice'"):
        run("add", "Alice", "--with", "apop", "--generate")
    assert "alice" in run("list")[0]


class Full(io.StringIO):
    """Standard output on a full disk."""

    def write(self, text: str) -> int:
        """Have no space."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_secret_that_cannot_be_shown_is_not_kept(run: Run, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When standard output is full, no user is left with a secret that nobody knows."""
    run("add", "bob", "--with", "apop", "--generate")
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", Full())
        with pytest.raises(Refusal, match=r"nothing was added, .* No space left on device"):
            run("add", "alice", "--with", "apop", "--generate")
    store = Store(path)
    assert [user.name for user in store.users()] == ["bob"]
    store.close()


def test_list_is_a_table(run: Run) -> None:
    """A heading, then a line a user, aligned, and no secret."""
    out, _ = run("add", "bob", "--with", "apop", "--generate")
    secret = out.split()[1]
    run("add", "alexandra@example.org", "--with", "apop,password", "--generate")
    out, err = run("list")
    heading, first, second = out.splitlines()
    assert heading.split() == ["NAME", "CREDENTIALS", "ADDED"]
    assert re.fullmatch(r"alexandra@example\.org  apop,password  \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", first)
    assert re.fullmatch(r"bob                    apop           \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", second)
    assert err == ""
    assert secret not in out


def test_list_json_can_be_read_by_a_program(run: Run) -> None:
    """An array of objects with name, credentials and time."""
    assert run("add", "bob", "--with", "apop,password", "--generate")
    (bob,) = json.loads(run("list", "--json")[0])
    assert (bob["name"], bob["credentials"]) == ("bob", ["apop", "password"])
    assert bob["added"].endswith("Z")
    assert set(bob) == {"name", "credentials", "added"}


def test_an_empty_list_is_empty(run: Run) -> None:
    """A file without users has a heading, and an empty array."""
    run("add", "bob", "--with", "apop", "--generate")
    run("remove", "bob")
    assert run("list")[0].split() == ["NAME", "CREDENTIALS", "ADDED"]
    assert json.loads(run("list", "--json")[0]) == []


def test_remove_takes_the_user_away(run: Run, path: Path) -> None:
    """It says so on standard error, for there is no result."""
    run("add", "alice", "--with", "apop", "--generate")
    out, err = run("remove", "alice")
    assert out == ""
    assert "removed alice" in err
    assert stored(path, "alice", "apop") is None


def test_removing_nobody_is_refused_with_the_nearest_name(run: Run, path: Path) -> None:
    """A typo is answered with what was probably meant; a wild guess is not."""
    run("add", "alice", "--with", "apop", "--generate")
    with pytest.raises(Refusal, match=f"there is no user 'alcie' in {path}; did you mean 'alice'\\?"):
        run("remove", "alcie")
    with pytest.raises(Refusal, match=r"there is no user 'zzz' in \S+$"):
        run("remove", "zzz")


def test_the_file_may_stand_behind_the_verb(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """-a is taken before and behind the verb, and missing it is one clear line."""
    users.run(parse("add", "-a", str(path), "alice", "--with", "apop", "--generate"))
    users.run(parse("list", "--accounts", str(path)))
    assert "alice" in capsys.readouterr().out
    with pytest.raises(Refusal, match="give -a FILE"):
        users.run(parse("list"))


@pytest.mark.parametrize("verb", [("list",), ("remove", "alice"), ("add", "bob", "--generate")])
def test_a_file_that_is_open_to_others_is_refused(run: Run, path: Path, verb: tuple[str, ...]) -> None:
    """Every verb refuses it with the command that mends it."""
    run("add", "alice", "--with", "apop", "--generate")
    path.chmod(0o640)
    with pytest.raises(Refusal, match=f"mode 0640, must be 0600.*chmod 600 {path}"):
        run(*verb)


@pytest.mark.parametrize("verb", [("list",), ("remove", "alice")])
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
            "'aopp' is not a kind of credential; there are: apop, password",
        ),
        (("add", "alice", "--generate", "--with", ""), "'' is not a kind"),
        (("add", "alice", "--generate", "--with", "apop,apop"), "given twice"),
        (("add",), "required: NAME"),
        ((), "required: add|list|remove"),
    ],
)
def test_a_bad_argument_is_one_line(words: tuple[str, ...], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is typed wrong ends with one printable line and status 1."""
    with pytest.raises(SystemExit) as ended:
        parse(*words)
    err = capsys.readouterr().err
    assert ended.value.code == 1
    assert line in err
    assert err.endswith("--help'\n")
    assert err[:-1].isprintable()


@pytest.mark.parametrize("words", [("--help",), ("add", "--help"), ("list", "--help"), ("remove", "--help")])
def test_help_teaches(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Each help says what the verb does; those that need it show examples; none is wider than a screen."""
    with pytest.raises(SystemExit) as ended:
        parse(*words)
    out = capsys.readouterr().out
    assert ended.value.code == 0
    assert "-a FILE" in out
    assert max(map(len, out.splitlines())) <= 110
    if words[0] in {"--help", "add"}:
        assert "examples:\n  netguard users -a " in out


def test_every_example_in_the_help_is_understood() -> None:
    """What the help shows can be pasted: each line that begins with the command parses."""
    shown = (users._EXAMPLES + users._ADD_EXAMPLES).splitlines()
    examples = [line.split("netguard users ")[1].split("     (")[0].split() for line in shown if "netguard" in line]
    assert len(examples) == 8
    for words in examples:
        assert "accounts" in parse(*words)

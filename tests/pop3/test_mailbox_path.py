"""From user name to mailbox."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from netguard.pop3.mailbox_errors import MailboxTrouble
from netguard.pop3.mailbox_path import MailboxPath


@pytest.mark.parametrize("user", ["alice", "a.b", "a@example.org", "a b", "%u", "{user}", "~root", "é", "a..b", "-x"])
def test_a_name_becomes_one_directory(user: str) -> None:
    """A name is put into the template as it is, and nothing in it is expanded."""
    assert MailboxPath("/srv/mail/{user}/Maildir").of(user) == f"/srv/mail/{user}/Maildir"


@pytest.mark.parametrize(
    "user", ["", ".", "..", ".hidden", "../bob", "a/b", "/etc", "a\0", "a\nb", "a\x7f", "a\x9b", "\u202ea", "\udcff"]
)
def test_a_name_that_could_be_more_is_refused(user: str) -> None:
    """A name with a slash, a leading dot, or anything that does not print has no mailbox."""
    with pytest.raises(MailboxTrouble, match="cannot be part of a path"):
        MailboxPath("/srv/mail/{user}").of(user)


def test_the_home_directory_is_expanded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leading ~ is the home directory of the server's own user."""
    monkeypatch.setenv("HOME", "/home/carol")
    assert MailboxPath("~/Maildir", single=True).of("alice") == "/home/carol/Maildir"
    assert MailboxPath("~/mail/{user}").of("alice") == "/home/carol/mail/alice"


def test_a_relative_template_stays_where_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that changes its directory later still finds the mailboxes."""
    monkeypatch.chdir(tmp_path)
    paths = MailboxPath("mail/{user}")
    monkeypatch.chdir("/")
    assert paths.of("alice") == f"{tmp_path}/mail/alice"


def test_a_shared_mailbox_must_be_meant() -> None:
    """A template without the placeholder is refused, in words that help, unless a single user is meant."""
    with pytest.raises(ValueError, match=r"holds no \{user\}, so all users would share one mailbox"):
        MailboxPath("/srv/mail")
    with pytest.raises(ValueError, match="holds no"):
        MailboxPath("/srv/{user}/../mail")
    assert MailboxPath("/srv/mail", single=True).of("alice") == "/srv/mail"


def test_unknown_home_directories_are_refused() -> None:
    """A template that would depend on a user's home directory says what to write instead."""
    with pytest.raises(ValueError, match=r"write the path out, as in '/home/\{user\}/Maildir'"):
        MailboxPath("~{user}/Maildir")


@pytest.mark.parametrize("template", ["{user}", "{user}/Maildir", "box-{user}/a/b"])
def test_a_missing_maildir_is_made_for_its_owner_alone(tmp_path: Path, template: str) -> None:
    """All that is missing from the user's part on is made with mode 0700; a second time changes nothing."""
    paths = MailboxPath(f"{tmp_path}/{template}")
    path = paths.of("alice")
    paths.make(path)
    paths.make(path)
    assert sorted(folder.name for folder in Path(path).iterdir()) == ["cur", "new", "tmp"]
    made = [directory for directory, _, _ in os.walk(tmp_path) if directory != str(tmp_path)]
    assert {stat.S_IMODE(Path(directory).stat().st_mode) for directory in made} == {0o700}


def test_a_single_maildir_is_made(tmp_path: Path) -> None:
    """Without the placeholder, the directory itself is made, in one that exists."""
    paths = MailboxPath(f"{tmp_path}/Maildir", single=True)
    paths.make(paths.of("alice"))
    assert (tmp_path / "Maildir" / "new").is_dir()


def test_what_comes_before_the_user_is_not_made(tmp_path: Path) -> None:
    """A mistyped template makes no tree of directories."""
    paths = MailboxPath(f"{tmp_path}/mistyped/{{user}}")
    with pytest.raises(FileNotFoundError):
        paths.make(paths.of("alice"))
    assert not list(tmp_path.iterdir())


def test_a_path_that_is_not_the_templates_is_made_but_for_its_directory(tmp_path: Path) -> None:
    """An account may have a mailbox of its own; what is mistyped there makes no tree either."""
    paths = MailboxPath(f"{tmp_path}/mail/{{user}}")
    paths.make(f"{tmp_path}/of-alice")
    assert {each.name for each in (tmp_path / "of-alice").iterdir()} == {"tmp", "new", "cur"}
    with pytest.raises(FileNotFoundError):
        paths.make(f"{tmp_path}/mistyped/of-alice")
    assert [each.name for each in tmp_path.iterdir()] == ["of-alice"]

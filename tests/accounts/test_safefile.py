"""Files of secrets that others could read or change."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from netguard.accounts import safefile
from netguard.accounts.interface import AccountsTrouble

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that is in order."""
    path = tmp_path / "accounts"
    path.touch(mode=0o600)
    return path


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Each umask that an operator may have, and one that nobody should."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def refused(path: Path) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(AccountsTrouble) as trouble:
        safefile.look(path)
    assert "\n" not in str(trouble.value)
    assert str(path) in str(trouble.value)
    return str(trouble.value)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_private_file_passes(file: Path, mode: int) -> None:
    """What only its owner may use is looked at without complaint."""
    file.chmod(mode)
    assert stat.S_IMODE(safefile.look(file).st_mode) == mode


@pytest.mark.parametrize("bit", [0o040, 0o020, 0o010, 0o004, 0o002, 0o001])
def test_each_right_of_others_is_refused_with_its_remedy(file: Path, bit: int) -> None:
    """Any right of the group or of everybody is refused, naming path, mode and the command that mends it."""
    file.chmod(0o600 | bit)
    line = refused(file)
    assert f"mode {0o600 | bit:04o}" in line
    assert line.endswith(f"run: chmod 600 {file}")


def test_a_remedy_can_be_pasted(tmp_path: Path) -> None:
    """A path that a shell would take apart is quoted."""
    path = tmp_path / "my accounts; rm"
    path.touch()
    path.chmod(0o644)
    assert refused(path).endswith(f"run: chmod 600 '{path}'")


def test_a_symlink_is_refused(file: Path, tmp_path: Path) -> None:
    """A link is not followed, wherever it leads."""
    link = tmp_path / "link"
    link.symlink_to(file)
    assert "symlink" in refused(link)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A directory and a FIFO are no accounts, and a FIFO does not hang."""
    os.mkfifo(tmp_path / "fifo", 0o600)
    (tmp_path / "directory").mkdir(mode=0o700)
    assert "not a regular file" in refused(tmp_path / "fifo")
    assert "not a regular file" in refused(tmp_path / "directory")


def _stat(mode: int, owner: int) -> os.stat_result:
    return os.stat_result((mode, 1, 1, 1, owner, 0, 0, 0, 0, 0))


def test_only_we_and_root_may_own_it(tmp_path: Path) -> None:
    """Ours and root's pass; anybody else's is refused with both user ids."""
    path, mine = tmp_path / "accounts", os.geteuid()
    safefile.judge(path, _stat(stat.S_IFREG | 0o600, mine))
    safefile.judge(path, _stat(stat.S_IFREG | 0o600, 0))
    with pytest.raises(AccountsTrouble, match=f"belongs to user id 54321, not to root .* user id {mine};"):
        safefile.judge(path, _stat(stat.S_IFREG | 0o600, 54321))


@pytest.mark.parametrize("mode", [0o770, 0o720, 0o702, 0o777])
def test_a_directory_that_others_may_write_to_is_refused(file: Path, mode: int) -> None:
    """Who may write to the directory may swap the file, so its mode is named with what mends it."""
    file.parent.chmod(mode)
    line = refused(file)
    assert f"(mode {mode:04o})" in line
    assert line.endswith(f"run: chmod go-w {file.parent}")


def test_a_directory_that_others_may_read_passes(file: Path) -> None:
    """Seeing the file's name does no harm."""
    file.parent.chmod(0o755)
    assert safefile.look(file)


def test_a_sticky_directory_is_refused_because_of_the_journal(file: Path) -> None:
    """In a directory like /tmp others can plant a journal beside the file."""
    file.parent.chmod(0o1777)
    assert "plant a journal" in refused(file)


def test_a_directory_above_may_be_sticky_but_not_open(file: Path) -> None:
    """Nobody can move another's directory out of a sticky one; out of an open one, anybody can."""
    inner = file.parent / "inner"
    inner.mkdir(mode=0o700)
    path = inner / "accounts"
    path.touch(mode=0o600)
    file.parent.chmod(0o1777)
    assert safefile.look(path)
    file.parent.chmod(0o777)
    assert f"is in {file.parent}, which others may write to" in refused(path)


def test_a_missing_directory_is_one_clear_line(tmp_path: Path) -> None:
    """What is missing is named."""
    assert refused(tmp_path / "nowhere" / "accounts").endswith(f"{tmp_path / 'nowhere'}: No such file or directory")


def test_a_missing_file_is_told_apart(tmp_path: Path) -> None:
    """Who looks can tell a missing file from a bad one."""
    with pytest.raises(FileNotFoundError):
        safefile.look(tmp_path / "accounts")


def test_a_new_file_is_private_whatever_the_umask_is(tmp_path: Path, umask: int) -> None:
    """The mode is 0600 under an open umask, and under one that takes even the owner's rights."""
    path = tmp_path / "accounts"
    safefile.create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600, oct(umask)


def test_an_existing_file_is_left_alone(file: Path) -> None:
    """Creating what is there changes neither its content nor its mode."""
    file.write_bytes(b"kept")
    file.chmod(0o640)
    safefile.create(file)
    assert file.read_bytes() == b"kept"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_nothing_is_created_through_a_dangling_link(tmp_path: Path) -> None:
    """A link that somebody laid out is not followed to make a file elsewhere."""
    (tmp_path / "accounts").symlink_to(tmp_path / "elsewhere")
    safefile.create(tmp_path / "accounts")
    assert not (tmp_path / "elsewhere").exists()


def test_nothing_is_created_in_an_open_directory(tmp_path: Path) -> None:
    """A directory that others may write to is refused before a file is made in it."""
    tmp_path.chmod(0o777)
    with pytest.raises(AccountsTrouble, match="others may write to"):
        safefile.create(tmp_path / "accounts")
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_created_is_one_clear_line(tmp_path: Path) -> None:
    """The system's reason is passed on, without a traceback."""
    with pytest.raises(AccountsTrouble, match="cannot be created: File name too long"):
        safefile.create(tmp_path / ("x" * 300))

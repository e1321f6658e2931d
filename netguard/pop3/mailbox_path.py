"""From a user's name to the directory of the mailbox, so that no name reaches anything else."""

from __future__ import annotations

import contextlib
import os

from netguard.pop3.mailbox_errors import MailboxTrouble

PLACEHOLDER = "{user}"


class MailboxPath:
    """A template such as ``/srv/mail/{user}``, or ``~/Maildir`` for the only user.

    Args:
        template: path of a Maildir, with ``{user}`` in the user's place; ``~`` at its beginning is a home
            directory. A relative one is taken from the present working directory, now.
        single: allow a template without ``{user}``: then every user opens the same mailbox.

    Raises:
        ValueError: there is no ``{user}`` and `single` was not given, or ``~`` stands for no known home
        directory.
    """

    def __init__(self, template: str, *, single: bool = False) -> None:
        expanded = os.path.expanduser(template)  # noqa: PTH111 - a template is no path yet
        if expanded.startswith("~"):
            raise ValueError(
                f"maildir: {template!r} begins with a home directory that this machine does not know; "
                f"write the path out, as in '/home/{PLACEHOLDER}/Maildir'"
            )
        self._template = os.path.abspath(expanded)  # noqa: PTH100 - the same
        if PLACEHOLDER not in self._template and not single:
            raise ValueError(
                f"maildir: {template!r} holds no {PLACEHOLDER}, so all users would share one mailbox; "
                f"add {PLACEHOLDER}, or say that there is a single user"
            )
        self._base = os.path.dirname(self._template.partition(PLACEHOLDER)[0] + "x")  # noqa: PTH120 - the same

    def of(self, user: str) -> str:
        """Return the mailbox of `user`.

        Raises:
            MailboxTrouble: the name could be something else in a path: empty, with a slash, a leading dot, a
            NUL or any
                other character that does not print.
        """
        if not user or user.startswith(".") or "/" in user or not user.isprintable():
            raise MailboxTrouble("this user name cannot be part of a path, so there is no mailbox for it")
        return self._template.replace(PLACEHOLDER, user)

    def make(self, path: str) -> None:
        """Make the Maildir at `path` where it is missing, for its owner alone (mode 0700).

        The directory before ``{user}`` must exist, and of a path that is not the template's all but the last: what is
        mistyped shall not make a tree.

        Raises:
            OSError: a directory cannot be made.
        """
        ours = path.startswith(self._base.rstrip("/") + "/")
        wanted = self._base if ours else os.path.dirname(path)  # noqa: PTH120 - the same
        for part in path[len(wanted) :].strip("/").split("/"):
            wanted = f"{wanted}/{part}"
            _make(wanted)
        for folder in ("tmp", "new", "cur"):
            _make(f"{path}/{folder}")


def _make(path: str) -> None:
    """Make a directory unless it is there."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)  # noqa: PTH102 - beside os.open in the other modules, one way is clearer

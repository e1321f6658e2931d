"""What tells that a file or folder is as it was, without reading it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import os

GRAIN = 2_000_000_000
"""Nanoseconds for which a change may not show: what changed so recently may change again unseen (as Dovecot has it)."""


class Stamp(NamedTuple):
    """What tells whether a folder or file is as it was. Times are nanoseconds.

    The time of its last change counts beside that of its content, since programs that copy mail set the latter back.
    """

    device: int
    inode: int
    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, status: os.stat_result, *, folder: bool = True) -> Stamp:
        """The stamp of a folder, or of a file; only a file's size says something."""
        size = 0 if folder else status.st_size
        return cls(status.st_dev, status.st_ino, size, status.st_mtime_ns, status.st_ctime_ns)

    def proves(self, moment: int) -> bool:
        """Whether what is seen at a moment stays true as long as the stamp does: it is old enough."""
        return max(self.modified, self.changed) < moment - GRAIN

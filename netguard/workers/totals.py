"""Numbers that all workers know at once: memory that they share, in which each writes its own and reads the others'.

A worker that counts a connection writes one number, and one that asks how many there are adds up a few: less than a
microsecond, and no lock. Between a question and the answer's consequence the others may do the same; so a total is
exact to within one connection for each worker.
"""

from __future__ import annotations

import mmap
import os

COLUMNS = 64
"""Totals that may be shared; those beyond are each worker's own."""
_SIZE = 8


def memory(workers: int) -> int:
    """The descriptor of new memory for so many workers, all zeros; it has no name, and ends with its last holder."""
    made = os.memfd_create("netguard-totals", os.MFD_CLOEXEC)
    os.ftruncate(made, _SIZE * COLUMNS * (workers + 1))
    return made


class Table:
    """The shared memory, as one process sees it.

    Args:
        descriptor: of the memory.
        workers: how many there are.
    """

    def __init__(self, descriptor: int, workers: int) -> None:
        self.workers = workers
        self._map = mmap.mmap(descriptor, _SIZE * COLUMNS * (workers + 1))
        self._counts = memoryview(self._map)[: _SIZE * COLUMNS * workers].cast("q")
        self._moments = memoryview(self._map)[_SIZE * COLUMNS * workers :].cast("d")

    def column(self, at: int, worker: int) -> Column | None:
        """One total as a worker sees it.

        Args:
            at: which, from 0; the same in every worker, since all have the same options.
            worker: whose, from 0.

        Returns:
            None where there are too many.
        """
        if at >= COLUMNS:
            return None
        first = at * self.workers
        return Column(self._counts[first : first + self.workers], worker, self._moments[at : at + 1])

    def sum_of(self, at: int) -> int:
        """All parts of one total.

        Args:
            at: which, from 0.
        """
        return sum(self._counts[at * self.workers : (at + 1) * self.workers])

    def forget(self, worker: int) -> None:
        """A worker has died: whatever it counted is not there any more."""
        for at in range(worker, COLUMNS * self.workers, self.workers):
            self._counts[at] = 0

    def close(self) -> None:
        """Let go of the memory."""
        self._counts.release()
        self._moments.release()
        self._map.close()


class Column:
    """One total, of which every worker has a part, and one moment, which is all workers'.

    Args:
        counts: the parts.
        worker: whose is ours.
        moment: the moment.
    """

    __slots__ = ("_counts", "_moment", "_worker")

    def __init__(self, counts: memoryview[int], worker: int, moment: memoryview[float]) -> None:
        self._counts = counts
        self._worker = worker
        self._moment = moment

    def tell(self, own: int) -> None:
        """Our own part is this."""
        self._counts[self._worker] = own

    def others(self) -> int:
        """The sum of all others' parts."""
        return sum(self._counts) - self._counts[self._worker]

    @property
    def moment(self) -> float:
        """The moment that all workers share."""
        return self._moment[0]

    @moment.setter
    def moment(self, moment: float) -> None:
        self._moment[0] = moment

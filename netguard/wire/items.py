"""How long the items of a byte stream are: what comes between two delimiters, whatever the chunks."""

from __future__ import annotations


class ItemCounter:
    """Counts the bytes since the last delimiter; keeps no more of them than the beginning of a delimiter.

    Args:
        limit: item lengths up to this many bytes need not be told exactly, which is what makes them cheap.
        delimiter: what ends an item, one byte or more.
    """

    __slots__ = ("begun", "delimiter", "limit", "overlaps", "run", "tail")

    def __init__(self, limit: int, delimiter: bytes) -> None:
        self.limit = limit
        self.delimiter = delimiter
        self.begun = tuple(delimiter[:size] for size in range(len(delimiter) - 1, 0, -1))
        # One that can begin inside another (an empty line, say) is found from the front only, as receivers find it.
        self.overlaps = delimiter.endswith(self.begun)
        self.run = 0
        self.tail = b""

    def feed(self, data: bytes) -> int:
        """Count on through one chunk.

        Returns:
            The length of the longest item that the chunk ends or leaves open, its delimiter not counted; 0 when all
            are surely within the limit.
        """
        if self.tail or self.overlaps or self.run + len(data) > self.limit or data.endswith(self.begun):
            return self._measure(data)
        at = data.rfind(self.delimiter)
        self.run = self.run + len(data) if at < 0 else len(data) - at - len(self.delimiter)
        return 0

    def _measure(self, data: bytes) -> int:
        first, *others = (self.tail + data).split(self.delimiter)
        ended = [self.run - len(self.tail) + len(first), *map(len, others)]
        self.run = ended.pop()
        # What looks like the beginning of a delimiter at the end of a chunk may turn out to be one.
        last = others[-1] if others else first
        self.tail = next((each for each in self.begun if last.endswith(each)), b"")
        return max(*ended, self.run - len(self.tail), 0)

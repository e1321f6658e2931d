"""How long the items of a byte stream are: what comes between two delimiters, whatever the chunks."""

from __future__ import annotations


class ItemCounter:
    """Counts the bytes since the last delimiter; keeps no more of them than the beginning of a delimiter.

    Args:
        limit: item lengths up to this many bytes need not be told exactly, which is what makes them cheap.
        delimiter: what ends an item, one byte or more.
    """

    __slots__ = ("delimiter", "limit", "run", "tail")

    def __init__(self, limit: int, delimiter: bytes) -> None:
        self.limit = limit
        self.delimiter = delimiter
        self.run = 0
        self.tail = b""

    def feed(self, data: bytes) -> int:
        """Count on through one chunk.

        Returns:
            The length of the longest item that the chunk ends or leaves open, its delimiter not counted; 0 when all
            are surely within the limit.
        """
        if len(self.delimiter) == 1 and self.run + len(data) <= self.limit:
            at = data.rfind(self.delimiter)
            self.run = self.run + len(data) if at < 0 else len(data) - at - 1
            return 0
        return self._measure(data)

    def _measure(self, data: bytes) -> int:
        delimiter = self.delimiter
        first, *others = (self.tail + data).split(delimiter)
        ended = [self.run - len(self.tail) + len(first), *map(len, others)]
        self.run = ended.pop()
        last = others[-1] if others else first
        # What looks like the beginning of a delimiter at the end of a chunk may turn out to be one.
        begun = (delimiter[:size] for size in range(len(delimiter) - 1, 0, -1))
        self.tail = next((each for each in begun if last.endswith(each)), b"")
        return max(*ended, self.run - len(self.tail), 0)

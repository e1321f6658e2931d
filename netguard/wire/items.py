"""How long the items of a byte stream are: what comes between two delimiters, whatever the chunks."""

from __future__ import annotations

from functools import lru_cache


@lru_cache
def _shape(delimiter: bytes) -> tuple[tuple[bytes, ...], bool]:
    """The beginnings of a delimiter, the longest first, and whether one can begin inside another.

    One that can (an empty line, say) is found from the front only, as receivers find it.
    """
    begun = tuple(delimiter[:size] for size in range(len(delimiter) - 1, 0, -1))
    return begun, delimiter.endswith(begun)


class ItemCounter:
    """Counts the bytes since the last delimiter; keeps no more of them than the beginning of a delimiter.

    Args:
        limit: item lengths up to this many bytes need not be told exactly, which is what makes them cheap.
        delimiter: what ends an item, one byte or more.

    Attributes:
        whole: a chunk of up to this many bytes that ends with the delimiter changes nothing, and need not be fed. Most
            chunks are such: whoever asks for that first saves the call. Negative while an item is open.
    """

    __slots__ = ("begun", "delimiter", "limit", "overlaps", "run", "tail", "whole")

    def __init__(self, limit: int, delimiter: bytes) -> None:
        self.limit = limit
        self.delimiter = delimiter
        self.begun, self.overlaps = _shape(delimiter)
        self.run = 0
        self.tail = b""
        self.whole = -1 if self.overlaps else limit + len(delimiter)

    def feed(self, data: bytes) -> int:
        """Count on through one chunk.

        Returns:
            The length of the longest item that the chunk ends or leaves open, its delimiter not counted; when all are
            within the limit, some number that is, too.
        """
        longest = self._count(data)
        self.whole = -1 if self.run or self.tail or self.overlaps else self.limit + len(self.delimiter)
        return longest

    def _count(self, data: bytes) -> int:
        run = self.run + len(data)
        if run > self.limit or self.tail or self.overlaps:
            return self._measure(data)
        if data.endswith(self.delimiter):
            self.run = 0
        elif data.endswith(self.begun):
            return self._measure(data)
        else:
            at = data.rfind(self.delimiter)
            self.run = run if at < 0 else len(data) - at - len(self.delimiter)
        return 0

    def _measure(self, data: bytes) -> int:
        text, size = self.tail + data, len(self.delimiter)
        seek = text.find if self.overlaps else text.rfind
        start, longest = len(self.tail) - self.run, 0
        while True:
            # As far as one leap can take us: between two delimiters in reach of the limit, no item exceeds it.
            at = seek(self.delimiter, max(start, 0), max(start + self.limit + size, 0))
            if at < 0:
                at = text.find(self.delimiter, max(start, 0))
                if at < 0:
                    break
                longest = max(longest, at - start)
            start = at + size
        self.run = len(text) - start
        # What looks like the beginning of a delimiter at the end of a chunk may turn out to be one.
        left = text[max(start, len(text) - size, 0) :]
        self.tail = next((each for each in self.begun if left.endswith(each)), b"")
        return max(longest, self.run - len(self.tail))

"""The words for workers are a part of the vocabulary."""

from __future__ import annotations

from twisted.logger import LogLevel

from netguard.vocabulary import VOCABULARY
from netguard.worker_words import WORKERS


def test_they_are_in_the_vocabulary() -> None:
    """And a worker's death is an error, for somebody looks at those."""
    assert WORKERS.items() <= VOCABULARY.items()
    assert WORKERS["worker_ended"].level is LogLevel.error

"""Who removes messages is waited for."""

from __future__ import annotations

import pytest

from netguard.pop3.updates import Updates


def test_it_is_over_when_the_last_one_is() -> None:
    """However each ends."""
    updates = Updates()
    assert updates.when_over().called
    with updates:
        with pytest.raises(OSError, match="disk"), updates:
            raise OSError("disk")
        over = [updates.when_over(), updates.when_over()]
        assert not over[0].called
    assert all(each.called for each in over)
    with updates:
        assert not updates.when_over().called

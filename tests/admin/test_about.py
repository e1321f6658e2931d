"""What the pages know of a service is a plain value."""

from __future__ import annotations

from netguard.admin.about import About


def test_nobody_may_cut_unless_that_was_said() -> None:
    """Nor is anything on that nobody named."""
    assert About() == About("netguard", "guard", (), {}, (), {}, may_cut=False)

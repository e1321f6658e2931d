"""A key's line is found wherever a person would have written it."""

from __future__ import annotations

from netguard.config_lines import Lines

TEXT = '''\
# idle = 1
[guards]   # these
idle = "30s"
"max-in" = 5
max-per-peer.deep = 3
long = """
idle = 7
"""
observe = \'\'\'all\'\'\'

[listeners."tls:pop3s"]
idle = 5
'''


def test_keys_and_tables_have_lines() -> None:
    """In any table, quoted or not, dotted or not."""
    lines = Lines.read(TEXT)
    assert lines.of(("guards",)) == 2
    assert lines.of(("guards",), "idle") == 3
    assert lines.of(("guards",), "max-in") == 4
    assert lines.of(("guards", "max-per-peer"), "deep") == 5
    assert lines.of(("guards",), "observe") == 9
    assert lines.of(("listeners", "tls:pop3s"), "idle") == 12
    assert lines.of(("listeners",), "tls:pop3s") == 11
    assert lines.of((), "guards") == 2


def test_what_is_not_found_has_the_line_of_its_table_or_none() -> None:
    """As keys of a table that is written in one line."""
    lines = Lines.read(TEXT)
    assert lines.of(("guards",), "lifetime") == 2
    assert lines.of(("nowhere",), "idle") is None
    assert Lines().of((), "idle") is None

"""What tests of POP3 sessions get: a world of stand-ins."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

if TYPE_CHECKING:
    from tests.pop3.doubles import World

# Tests are imported by path, so a module that belongs to them must be, too.
_spec = importlib.util.spec_from_file_location("netguard_pop3_doubles", Path(__file__).with_name("doubles.py"))
assert _spec is not None
assert _spec.loader is not None
_doubles = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = _doubles
_spec.loader.exec_module(_doubles)


@pytest.fixture
def world() -> World:
    """A POP3 service made of stand-ins, whose reports and mailboxes the test can see."""
    return cast("World", _doubles.World())

"""Tests for netguard.commands.guard_arguments: a command's options are those of the services."""

from __future__ import annotations

import argparse

import pytest

from netguard.commands.contract import Refusal
from netguard.commands.guard_arguments import SURFACES, add_guard_arguments, policy_of
from netguard.plugins.guard_options import GuardOptions
from netguard.policy import Policy


def parsed(*words: str) -> Policy:
    """The policy that words make."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_guard_arguments(parser)
    return policy_of(parser.parse_args(words))


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--idle", "7s", "--max-item", "off"),
        ("--peer-prefix=24,56", "--observe", "all"),
        ("--observe", "IdleTimeout", "--observe", "ConnectionLimit"),
        ("--allow", "::1,::2", "--deny", "ALL", "--rules", "allow ::3", "--allow", "::4"),
        ("--deny", "off"),
    ],
)
def test_the_policy_is_that_of_a_service_with_the_same_words(words: tuple[str, ...]) -> None:
    """For every service, and however often it is asked."""
    for service, surface in SURFACES.items():
        options = type("Options", (GuardOptions,), {"surface": surface})()
        options.parseOptions(words)
        for _ in range(2):
            assert parsed("--for", service, *words) == options.policy


def test_what_cannot_be_honoured_is_a_refusal() -> None:
    """One line, for the person who typed it."""
    with pytest.raises(Refusal, match="option min-rate-grace has no effect by itself"):
        parsed("--min-rate-grace", "3s", "--min-rate-out", "off")

"""What a script of this folder is asked for on its command line."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain


def told_by(benches: Mapping[str, Callable[..., object]]) -> dict[str, str]:
    """The first lines of their docstrings, by name."""
    return {name: (bench.__doc__ or "").partition("\n")[0] for name, bench in benches.items()}


def chosen(
    about: str | None, *kinds: Mapping[str, str], beginnings: bool = False, words: Sequence[str] | None = None
) -> list[list[str]]:
    """Read the command line; ``--help`` lists what there is, and what there is not ends the script.

    Args:
        about: the script's docstring.
        kinds: what can be asked for, such as loads and relays: names, each with its line.
        beginnings: whether the beginning of a name stands for all that begin so.
        words: what was given, if not on the command line.

    Returns:
        For each of the kinds, what is to be done: all of it, where nothing of the kind was given.
    """
    lists = ["\n".join(f"  {name:18} {line}".rstrip() for name, line in kind.items()) for kind in kinds]
    parser = ArgumentParser(
        description=(about or "").partition(": ``")[0] + ".",
        epilog="\n\n".join(["what there is:", *lists]),
        formatter_class=RawDescriptionHelpFormatter,
    )
    how = "what to measure, or the beginning of several names" if beginnings else "what to measure"
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{how}; everything unless given")
    given = parser.parse_args(words).names
    found = [[_of(kind, each, beginnings=beginnings) for each in given] for kind in kinds]
    unknown = [each for each, *of_kinds in zip(given, *found, strict=True) if not any(of_kinds)]
    if unknown:
        known = ", ".join(name for kind in kinds for name in kind)
        parser.error(f"there is no {', no '.join(unknown)} here, but {known}")
    return [
        list(dict.fromkeys(chain.from_iterable(names))) or list(kind) for kind, names in zip(kinds, found, strict=True)
    ]


def _of(kind: Mapping[str, str], given: str, *, beginnings: bool) -> list[str]:
    return [name for name in kind if name == given or (beginnings and name.startswith(given))]

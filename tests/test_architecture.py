"""The shape of the package, as data: which room may import which, and how big things may grow.

A *room* is a module of netguard or a folder of them. Change the tables when the design changes, and say why
in the commit; the checks are plain functions on a source folder, and are themselves tested at the end.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

ROOT = Path(__file__).parent.parent
PACKAGE = "netguard"

_LOW = {"errors", "units"}
_SETTINGS = {*_LOW, "options", "guard", "guards", "policy"}
_RUNNING = {
    "peer",
    "kinds",
    "worker_words",
    "vocabulary",
    "events",
    "sampler",
    "outflow",
    "taps",
    "meter",
    "intervals",
    "facts",
    "connection",
    "backlog",
    "writing",
    "transport",
    "early",
    "encryption",
    "tls_failure",
    "figures",
    "wrapper",
    "plan",
    "opening",
    "recorder",
    "reports",
    "verbs",
    "service",
    "admission",
    "application",
    "drainable",
    "ending",
    "factory",
}
_SERVICE = {"wire", "clients", "accounts", "fleet", "pop3", "process", "relay", "workers"}

# room -> the rooms it may import. A folder's modules may import each other, except those of `guards`.
ARROWS: dict[str, set[str]] = {
    # words
    "units": set(),
    "packed": {"units"},
    "errors": {"units"},
    "kinds": set(),
    "worker_words": {"kinds"},
    "vocabulary": {"kinds", "worker_words"},
    "events": {"errors", "units", "peer", "vocabulary"},
    "sampler": {"events"},
    "figures": {"errors"},
    # settings
    "options": {"units", "errors"},
    "verbs": {"errors", "packed", "peer", "taps", "units"},
    "stages": {"errors", "verbs"},
    "guard": {"options", "errors", "units", "stages", "taps", "verbs"},
    "guards": {
        *("guard", "options", "units", "errors", "peer", "wire", "load", "networks", "nameservers", "verdict", "rules"),
        *("elsewhere", "packed", "penalty_table", "penalty_terms", "proxy_url"),
    },
    "penalty_terms": {"units"},
    "penalty_table": {"penalty_terms"},
    # what guards count together with other machines
    "elsewhere": {"packed", "penalty_table"},
    "load": {"errors", "units"},
    "networks": {"packed", "units"},
    "nameservers": {"units"},
    "secret": set(),
    "proxy_url": {"secret", "units"},
    "verdict": set(),
    "rule": {"networks"},
    "rules": {"rule", "networks", "packed", "verdict", "units", "errors"},
    # one connection
    "peer": {"packed", "units"},
    "outflow": set(),
    "taps": set(),
    "meter": {"outflow", "taps"},
    "plan": {"taps"},
    "intervals": set(),
    "facts": {"errors", "intervals", "meter", "packed", "peer", "plan", "units", "verbs"},
    "connection": {"errors", "facts", "intervals", "plan", "taps", "verbs"},
    "application": {"connection", "errors"},
    "drainable": set(),
    "backlog": set(),
    "writing": {"backlog", "connection", "meter"},
    "transport": {"backlog", "connection"},
    "encryption": set(),
    "tls_failure": set(),
    "early": {"errors", "stages", "verbs"},
    "over": set(),
    "wrapper": {"connection", "early", "facts", "meter", "over", "peer", "transport", "writing"},
    # many connections
    "recorder": {"plan", "taps"},
    "entrances": {"connection", "guard", "stages"},
    "opening": {"connection", "early", "entrances", "errors", "guard", "plan", "recorder", "taps"},
    "reports": {"errors", "events", "facts", "figures", "peer", "sampler", "tls_failure", "verdict", "wire"},
    "service": {"clients", "errors", "events", "figures", "load", "verbs"},
    "refusal": {"meter", "service"},
    "sweep": {"errors", "events", "meter", "sampler", "wrapper"},
    "admission": {"connection", "early", "encryption", "errors", "opening", "reports", "wrapper"},
    "ending": {"errors", "wrapper"},
    "factory": {
        "admission",
        "connection",
        "ending",
        "errors",
        "events",
        "guard",
        "opening",
        "peer",
        "plan",
        "refusal",
        "reports",
        "service",
        "sweep",
        "wrapper",
    },
    # a TCP transport of our own, that counts by itself
    "native": {
        *("backlog", "connection", "encryption", "factory", "meter", "over", "service", "transport", "wrapper"),
        "writing",
    },
    "policy": {"factory", "guard", "guards", "options", "errors", "units"},
    # a protocol's own deadlines, without guards
    "mixins": {*_LOW, "outflow"},
    # files
    "page_cache": set(),
    "stamp": set(),
    # services
    "wire": set(),
    "clients": {"wire", "errors", "units", "events", "nameservers", "packed", "peer", "proxy_url", "verdict"},
    "accounts": {"page_cache", "secret", "stamp", "wire", "units"},
    "relay": {
        *("wire", "application", "drainable", "errors", "events", "outflow", "peer", "process", "sampler"),
        *("native", "tls_failure"),
    },
    "fleet": {
        *("clients", "elsewhere", "errors", "factory", "process", "secret", "tls_failure", "units", "wire"),
    },
    "pop3": {
        *("accounts", "application", "connection", "drainable", "errors", "events", "page_cache", "secret", "stamp"),
        *("units", "wire"),
    },
    "process": {
        *("connection", "drainable", "errors", "events", "factory", "figures", "mixins", "options", "plan", "reports"),
        *("joined_port", "service", "tls_failure", "units", "vocabulary", "wire"),
    },
    # several processes for one service, and one above them
    "workers": {
        *("errors", "events", "factory", "figures", "joined_port", "load", "packed", "process", "service", "units"),
    },
    # what a service shows of itself
    "promises": set(),
    "admin": {
        *("endpoint_strings", "errors", "events", "factory", "facts", "figures", "policy", "process", "promises"),
        *("reports", "secret", "service"),
    },
    "one_line": set(),
    "help_text": set(),
    # ways in
    "endpoint_strings": _LOW,
    "joined_port": set(),
    "guarded_endpoints": {"policy", "factory", "joined_port", "native", "wrapper", "service", "events", "errors"},
    "before_tls": {"factory"},
    "endpoints": {"before_tls", "endpoint_strings", "guarded_endpoints", "one_line", "policy", "errors"},
    "socks_endpoints": {"clients", "endpoint_strings", "endpoints", "errors", "one_line", "proxy_url"},
    "explanation": {*_RUNNING, "errors", "guard", "load", "options", "policy", "wire"},
    "config_lines": set(),
    "config": {"config_lines", "policy", "options", "errors"},
    "plugins": {
        *_SETTINGS,
        *_RUNNING,
        *_SERVICE,
        "admin",
        "before_tls",
        "secret",
        "config",
        "endpoint_strings",
        "guarded_endpoints",
        "native",
        "endpoints",
        "one_line",
        "help_text",
        *("explanation", "load", "packed"),  # a running service explains itself on its control socket
    },
    "commands": {
        *_LOW,
        *("config", "explanation", "load", "policy", "accounts", "options", "process"),
        *("clients", "help_text", "nameservers", "proxy_url", "rule", "verdict"),
    },
    "cli": {"commands", "policy", "accounts", "options", "units", "errors", "process"},
    # for those who test
    "testing": {*_RUNNING, "guard", "native", "policy", "errors"},
}

# Rooms whose modules do not know each other; only their __init__ may, to gather names.
STRANGERS = {"guards"}
# Rooms that need nothing but Python.
STANDARD_LIBRARY_ONLY = {"wire"}
# Who may import the global reactor, late: what turns a command line or endpoint string into objects, and
# those whose callers may pass no clock (a factory wrapped without one, Twisted's own TimeoutMixin, an endpoint).
REACTOR_ALLOWED = {"endpoints", "plugins", "cli", "commands", "factory", "mixins", "clients"}

FILE_LINES = 300
CLASS_LINES_OF = {"guards": 80}
FUNCTION_LINES = 40


@frozen
class Import:
    """One import statement's one target.

    Attributes:
        target: the module that it names, as far as that is a module.
        line: where the statement stands.
        late: whether it stands inside a function.
    """

    target: str
    line: int
    late: bool


@frozen
class Module:
    """One source file of the package.

    Attributes:
        name: dotted, without `.__init__`.
        path: the file.
        imports: everything it imports, in functions and under TYPE_CHECKING too.
        tree: its syntax.
        lines: its length.
    """

    name: str
    path: Path
    imports: tuple[Import, ...]
    tree: ast.Module
    lines: int

    @property
    def is_package(self) -> bool:
        """Whether it is an `__init__.py`."""
        return self.path.name == "__init__.py"

    @property
    def room(self) -> str:
        """The room it belongs to; empty for the package root."""
        return room_of(self.name)


def room_of(name: str) -> str:
    """The room of a dotted module name: its first part below the package."""
    return name.partition(".")[2].partition(".")[0]


def read_package(folder: Path) -> dict[str, Module]:
    """Every module of the package in `folder`, by dotted name."""
    files = sorted((folder / PACKAGE).rglob("*.py"))
    names = {_dotted(path.relative_to(folder)): path for path in files}
    return {name: _read_module(name, path, names.keys()) for name, path in names.items()}


def _dotted(relative: Path) -> str:
    parts = relative.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _read_module(name: str, path: Path, known: Container[str]) -> Module:
    text = path.read_text()
    tree = ast.parse(text, str(path))
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    late = {
        id(inner)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(outer)
    }
    imports = tuple(
        Import(target, node.lineno, id(node) in late)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for target in _targets(node, package, known)
    )
    return Module(name, path, imports, tree, len(text.splitlines()))


def _targets(node: ast.Import | ast.ImportFrom, package: str, known: Container[str]) -> Iterator[str]:
    """The modules that a statement names: `from a import b` is `a.b` when that is a module, else `a`."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        parts = package.split(".")
        base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
    for alias in node.names:
        inside = f"{base}.{alias.name}"
        if base == "twisted.internet" and alias.name == "reactor":
            yield inside
        else:
            yield inside if inside in known else base


def ours(module: Module) -> Iterator[Import]:
    """The imports of a module that stay inside the package."""
    return (i for i in module.imports if i.target == PACKAGE or i.target.startswith(PACKAGE + "."))


def wrong_arrows(modules: dict[str, Module]) -> list[str]:
    """Imports that ARROWS does not allow, and rooms that it does not know."""
    wrong = [f"{m.name}: no row in ARROWS" for m in modules.values() if m.room and m.room not in ARROWS]
    for module in modules.values():
        if not module.room:
            continue  # the root gathers the public names; nobody imports it
        allowed = ARROWS.get(module.room, set()) | {module.room, ""}
        wrong += [
            f"{module.name}:{i.line} imports {i.target}" for i in ours(module) if room_of(i.target) not in allowed
        ]
    return wrong


def strangers_that_met(modules: dict[str, Module]) -> list[str]:
    """Imports between modules of a room whose modules must not know each other."""
    return [
        f"{module.name}:{i.line} imports {i.target}"
        for module in modules.values()
        if module.room in STRANGERS and not module.is_package
        for i in ours(module)
        if room_of(i.target) == module.room
    ]


def imports_of_the_root(modules: dict[str, Module]) -> list[str]:
    """Imports of the package root, from which every large import cycle grows."""
    return [f"{m.name}:{i.line}" for m in modules.values() for i in ours(m) if i.target == PACKAGE]


def cycles(modules: dict[str, Module]) -> list[str]:
    """One line for each import cycle, whether it happens at run time or only for the type checker."""
    graph = {
        name: sorted({i.target for i in ours(module)} & modules.keys() - {name, PACKAGE})
        for name, module in modules.items()
    }
    found: list[str] = []
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> None:
        if name in trail:
            found.append(" -> ".join([*trail[trail.index(name) :], name]))
        elif name not in done:
            for target in graph[name]:
                visit(target, [*trail, name])
            done.add(name)

    for name in graph:
        visit(name, [])
    return found


def foreign_imports(modules: dict[str, Module]) -> list[str]:
    """Imports from outside the standard library in rooms that need nothing else."""
    return [
        f"{module.name}:{i.line} imports {i.target}"
        for module in modules.values()
        if module.room in STANDARD_LIBRARY_ONLY
        for i in module.imports
        if i.target.partition(".")[0] not in {*sys.stdlib_module_names, PACKAGE}
    ]


def misplaced_imports(modules: dict[str, Module]) -> list[str]:
    """Imports inside functions, except of the reactor where allowed; and the reactor anywhere else."""
    reactor = "twisted.internet.reactor"
    return [
        f"{module.name}:{i.line} imports {i.target}"
        for module in modules.values()
        for i in module.imports
        if (i.target == reactor and not (i.late and module.room in REACTOR_ALLOWED)) or (i.target != reactor and i.late)
    ]


def too_long(modules: dict[str, Module]) -> list[str]:
    """Files, functions and guards above their size."""
    found = []
    for module in modules.values():
        if module.lines > FILE_LINES:
            found.append(f"{module.name}: {module.lines} lines, at most {FILE_LINES}")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                most = FUNCTION_LINES
            elif isinstance(node, ast.ClassDef) and module.room in CLASS_LINES_OF:
                most = CLASS_LINES_OF[module.room]
            else:
                continue
            size = (node.end_lineno or 0) - node.lineno + 1
            if size > most:
                found.append(f"{module.name}:{node.lineno} {node.name}: {size} lines, at most {most}")
    return found


def untested(modules: dict[str, Module], tests: Path) -> list[str]:
    """Modules without a test file of their own: netguard/a/b.py is tested by tests/a/test_b.py."""
    return [
        module.name
        for module in modules.values()
        if not module.is_package
        and not (tests.joinpath(*module.name.split(".")[1:-1]) / f"test_{module.path.stem.lstrip('_')}.py").exists()
    ]


@pytest.fixture(scope="module")
def package() -> dict[str, Module]:
    """The real package."""
    return read_package(ROOT)


CHECKS = [
    wrong_arrows,
    strangers_that_met,
    imports_of_the_root,
    cycles,
    foreign_imports,
    misplaced_imports,
    too_long,
]


@pytest.mark.parametrize("check", CHECKS)
def test_the_package_keeps_its_shape(
    check: Callable[[dict[str, Module]], list[str]], package: dict[str, Module]
) -> None:
    """Arrows point as the table says, without cycles, and nothing outgrows its size."""
    assert len(package) > 5
    assert not (found := check(package)), "\n".join(found)


def test_every_module_has_its_own_test_file(package: dict[str, Module]) -> None:
    """Each module is tested by the file that mirrors it."""
    assert not (found := untested(package, ROOT / "tests")), "\n".join(found)


def test_the_table_itself_has_no_cycle() -> None:
    """No room can be reached from itself, whatever the modules do."""
    reached = {room: set(targets) for room, targets in ARROWS.items()}
    for _ in ARROWS:
        reached = {room: far.union(*(reached[near] for near in far)) for room, far in reached.items()}
    assert [room for room, far in reached.items() if room in far] == []


def test_no_room_imports_the_test_kit() -> None:
    """`netguard.testing` is for those who test; the service does not need it."""
    assert [room for room, targets in ARROWS.items() if "testing" in targets] == []


def _tree(folder: Path, **files: str) -> dict[str, Module]:
    """A package made of `name__of__module = source`, an empty __init__.py wherever one is missing."""
    for name, source in {"__init__": "", **files}.items():
        path = folder.joinpath(PACKAGE, *name.split("__" if name != "__init__" else "/")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return read_package(folder)


BAD = [
    (wrong_arrows, {"guard": "from netguard.connection import Connection", "connection": ""}),
    (wrong_arrows, {"guard": "from .connection import Connection", "connection": ""}),
    (wrong_arrows, {"guard": "if TYPE_CHECKING:\n    import netguard.factory", "factory": ""}),
    (wrong_arrows, {"wire__pop3": "from netguard.errors import Cut", "errors": ""}),
    (wrong_arrows, {"nowhere": ""}),
    (strangers_that_met, {"guards__idle": "from netguard.guards.rate import x", "guards__rate": ""}),
    (strangers_that_met, {"guards__idle": "from netguard.guards import rate", "guards__rate": ""}),
    (imports_of_the_root, {"errors": "import netguard"}),
    (imports_of_the_root, {"errors": "from netguard import Policy"}),
    (imports_of_the_root, {"errors": "from . import Policy"}),
    (cycles, {"wire__a": "import netguard.wire.b", "wire__b": "def f():\n    from netguard.wire import a"}),
    (foreign_imports, {"wire__a": "from attrs import frozen"}),
    (foreign_imports, {"wire__a": "import twisted.internet.defer"}),
    (misplaced_imports, {"policy": "def f():\n    from twisted.internet import reactor"}),
    (misplaced_imports, {"cli": "from twisted.internet import reactor"}),
    (misplaced_imports, {"cli": "def f():\n    import json"}),
    (too_long, {"errors": "\n" * 301}),
    (too_long, {"wire__a": "\n" * 301}),
    (too_long, {"guards__idle": "class Idle:\n" + "    x = 1\n" * 80}),
    (too_long, {"errors": "async def f():\n" + "    x = 1\n" * 40}),
]

GOOD = [
    (
        wrong_arrows,
        {"connection": "from netguard.errors import Cut\nimport os", "errors": "", "__init__": ""},
    ),
    (wrong_arrows, {"wire__a": "from netguard.wire.b import x", "wire__b": ""}),
    (imports_of_the_root, {"connection": "from netguard import errors", "errors": ""}),
    (
        cycles,
        {
            "wire__a": "import netguard.wire.b, netguard.wire.c",
            "wire__b": "import netguard.wire.c",
            "wire__c": "",
        },
    ),
    (foreign_imports, {"wire__a": "from hashlib import md5\nfrom netguard.wire import b", "wire__b": ""}),
    (misplaced_imports, {"cli": "def f():\n    from twisted.internet import reactor"}),
    (too_long, {"errors": "\n" * 300, "wire__a": "\n" * 300, "guards__idle": "class Idle:\n" + "    x = 1\n" * 79}),
    (too_long, {"errors": "def f():\n" + "    x = 1\n" * 39}),
]


@pytest.mark.parametrize(("check", "files"), BAD)
def test_each_check_finds_what_it_forbids(
    check: Callable[[dict[str, Module]], list[str]], files: dict[str, str], tmp_path: Path
) -> None:
    """A package with exactly one fault fails exactly once."""
    assert len(check(_tree(tmp_path, **files))) == 1


@pytest.mark.parametrize(("check", "files"), GOOD)
def test_each_check_lets_the_allowed_pass(
    check: Callable[[dict[str, Module]], list[str]], files: dict[str, str], tmp_path: Path
) -> None:
    """What stands just inside a rule is no fault."""
    assert check(_tree(tmp_path, **files)) == []


def test_a_module_without_its_own_test_file_is_found(tmp_path: Path) -> None:
    """The mirror is by folder and name."""
    modules = _tree(tmp_path, wire__pop3="", errors="")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_errors.py").touch()
    (tmp_path / "tests" / "test_pop3.py").touch()
    assert untested(modules, tmp_path / "tests") == ["netguard.wire.pop3"]

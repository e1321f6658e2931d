"""What is built and installed: the plugins are seen, and Twisted stays Twisted."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins

import netguard

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# import name -> distribution name, where they differ
DEVELOPERS = {"test", "build", "lint", "docs"}  # extras of which netguard imports nothing
DISTRIBUTIONS = {"attr": "attrs", "OpenSSL": "pyopenssl", "zope": "zope.interface"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the sdist, built here by the declared backend, with a dropin.cache in the way."""
    folder = tmp_path_factory.mktemp("dist")
    source = tmp_path_factory.mktemp("source")
    tracked = ["pyproject.toml", "README.md", "LICENSE", ".gitignore"]
    files = [ROOT / name for name in tracked]
    files += [path for name in ("netguard", "twisted") for path in (ROOT / name).rglob("*") if path.is_file()]
    for path in files:
        copy = source / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    (source / "twisted" / "plugins" / "dropin.cache").write_text("what twistd leaves beside a plugin")
    build = "import sys; from hatchling import build; print(build.build_{kind}(sys.argv[1]))"
    names = [
        subprocess.run(
            [sys.executable, "-c", build.format(kind=kind), str(folder)],
            cwd=source,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout.split()[-1]
        for kind in ("wheel", "sdist")
    ]
    return folder / names[0], folder / names[1]


def _contents(archive: Path) -> list[str]:
    if archive.suffix == ".whl":
        return zipfile.ZipFile(archive).namelist()
    with tarfile.open(archive) as tar:
        return [name.partition("/")[2] for name in tar.getnames()]


@pytest.mark.parametrize("which", [0, 1], ids=["wheel", "sdist"])
def test_an_archive_has_the_plugin_and_nothing_of_twisted(built: tuple[Path, Path], which: int) -> None:
    """An __init__.py would hide Twisted, a dropin.cache would overwrite its own."""
    contents = _contents(built[which])
    assert [name for name in contents if name.startswith("twisted/")] == ["twisted/plugins/netguard_plugins.py"]
    assert not [name for name in contents if "dropin.cache" in name or "__pycache__" in name]


@pytest.mark.parametrize("which", [0, 1], ids=["wheel", "sdist"])
def test_an_archive_has_every_module_its_types_and_its_licence(built: tuple[Path, Path], which: int) -> None:
    """Nothing of the package is left out, and type checkers may read it."""
    contents = set(_contents(built[which]))
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "netguard").rglob("*.py")}
    assert modules <= contents
    assert "netguard/py.typed" in contents
    assert any(name.endswith("LICENSE") for name in contents)


def test_the_installed_version_is_the_one_of_the_package() -> None:
    """The version stands in one place, netguard/__init__.py."""
    assert importlib.metadata.version("netguard") == netguard.__version__


def test_the_command_is_declared() -> None:
    """`netguard` on the command line is `netguard.cli:main`."""
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="netguard")
    assert entry.value == "netguard.cli:main"


def test_twistd_sees_the_plugins_beside_its_own() -> None:
    """The installed plugin file adds names and takes none away."""
    names = {plugin.tapname for plugin in getPlugins(IServiceMaker)}
    assert {"netguard-pop", "netguard-relay", "netguard-wrap", "web", "ftp"} <= names


def test_the_plugin_file_is_cheap_and_leaves_the_reactor_to_be_chosen() -> None:
    """Every twistd run reads it, and only twistd may decide which reactor is installed."""
    code = "import sys, twisted.plugins.netguard_plugins; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    loaded = set(run.stdout.split())
    assert "twisted.internet.reactor" not in loaded
    assert not [name for name in loaded if name.startswith(("netguard.pop3", "netguard.accounts"))]


def _imported_distributions() -> set[str]:
    """What netguard imports when it runs; an import for the type checker alone needs no installation."""
    names: set[str] = set()
    for path in (ROOT / "netguard").rglob("*.py"):
        nodes: list[ast.AST] = [ast.parse(path.read_text())]
        while nodes:
            node = nodes.pop()
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module or "")
            elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                nodes += node.orelse
                continue
            nodes += ast.iter_child_nodes(node)
    tops = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"netguard"}
    return {DISTRIBUTIONS.get(top, top.replace("_", "-")) for top in tops}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    """A dependency is neither forgotten nor carried along for nothing."""
    assert _imported_distributions() == _names(PROJECT["dependencies"]) | _extras()


def _names(requirements: Iterable[str]) -> set[str]:
    return {re.split(r"[\[<>=; ]", each)[0] for each in requirements}


def _extras() -> set[str]:
    """What users may ask for besides."""
    extras = PROJECT["optional-dependencies"]
    return _names(each for name in extras if name not in DEVELOPERS for each in extras[name])


def test_without_the_extras_everything_else_works() -> None:
    """What needs one is imported only where it is asked for."""
    missing = [each.replace("-client", "_client") for each in _extras()]
    wanted = "netguard.cli, netguard.plugins.pop, netguard.plugins.wrap, netguard.plugins.relay"
    code = f"import sys; sys.modules.update(dict.fromkeys({missing}, None)); import {wanted}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_no_init_file_shadows_twisted() -> None:
    """With one, `import twisted.internet` would break in this folder, or the plugin would disappear."""
    assert list((ROOT / "twisted").rglob("__init__.py")) == []

"""The pages say what the code says, their commands and snippets are understood, and their examples run."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import select
import shlex
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.testing import MemoryReactorClock
from twisted.scripts import twistd

from netguard import cli, config
from netguard.plugins import pop, relay
from netguard.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
PATIENCE = 30.0


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _found(pattern: str, flags: re.RegexFlag = re.MULTILINE) -> list[Any]:
    """What a pattern finds on all pages, each once, with the name of its page for the test's."""
    found = {each: page.relative_to(ROOT) for page in PAGES for each in re.findall(pattern, page.read_text(), flags)}
    return [pytest.param(each, id=f"{page}-{at}") for at, (each, page) in enumerate(found.items())]


def _blocks(language: str) -> list[Any]:
    return _found(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A directory of an author's own, with the examples in it and nothing of netguard's around it."""
    return Path(shutil.copytree(EXAMPLES, tmp_path / "desk", ignore=shutil.ignore_patterns("__pycache__", "*.toml~")))


def test_generated_pages_are_fresh() -> None:
    """After a change to options, events, errors or arrows, `python docs/generate.py` was run."""
    assert list(_load(DOCS / "generate.py").stale()) == []


@pytest.mark.parametrize("options", [pop.Options, relay.Options])
def test_the_manual_page_has_every_option(options: Any) -> None:
    """What `twistd netguard-pop` and `netguard-relay` take stands in netguard-pop(8) and netguard-relay(8), once."""
    page = (DOCS / "reference" / f"netguard-{options.__module__.rpartition('.')[2]}.md").read_text()
    terms = re.findall(r"^`--([a-z0-9-]+)`", page, re.MULTILINE)
    assert set(terms) == {each.rstrip("=") for each in options().longOpt}


# What a reader copies


@pytest.mark.filterwarnings("ignore:.*_Unsafe:DeprecationWarning")  # of twisted.web, to itself
@pytest.mark.parametrize("words", _found(r"^[$#] (?:\S*/)?twistd (.*)$"))
def test_every_twistd_command_is_understood(words: str, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin takes its options as they are written, and twistd its own, but for what other machines have."""
    monkeypatch.chdir(desk)
    line = shlex.split(
        re.sub(r"--([ug]id|take-over|ledger) \S+|(?<=--pidfile )\S*/(?=\S)", "", words.partition(" | ")[0])
    )
    options: Any = twistd.ServerOptions()  # type: ignore[attr-defined]
    if "--help" in line:
        with pytest.raises(SystemExit) as end:
            options.parseOptions(line)
        assert not end.value.code
    else:
        options.parseOptions(line)
        assert options.subCommand
        lock = getattr(options.subOptions, "instance", None)
        if lock is not None:
            lock.release()


@pytest.mark.parametrize("words", _found(r"^[$#].*\bnetguard ((?:users|ctl|top) .*)$"))
def test_every_netguard_command_is_understood(words: str) -> None:
    """`netguard` takes the arguments as they are written."""
    assert cli._parser().parse_args(shlex.split(words.partition(" | ")[0])).command == words.split(maxsplit=1)[0]


@pytest.mark.parametrize("text", _found(r"""(?<!net)guard:[a-z0-9]+:[^\s"'`)]*"""))
def test_every_endpoint_string_is_understood(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each `guard:` string on the pages describes an endpoint, but for those that leave something out."""
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example")
    reactor: Any = MemoryReactorClock()
    if "..." not in text:
        make: Any = clientFromString if "host=" in text or "guard:socks:" in text else serverFromString
        assert make(reactor, text).policy.guards


@pytest.mark.parametrize("text", _found(r"^((?:tls:\S*=)?socks[\\]?:\S*)$"))
def test_every_string_through_a_proxy_is_understood(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each `socks:` string, where the file with the secret is there."""
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example")
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text("hush")
    reactor: Any = MemoryReactorClock()
    assert IStreamClientEndpoint.providedBy(clientFromString(reactor, text.replace("/etc/joe.secret", str(secret))))


@pytest.mark.parametrize("text", [*_blocks("toml"), (EXAMPLES / "guards.toml").read_text()])
def test_every_configuration_is_understood(text: str, tmp_path: Path) -> None:
    """Each TOML example is a file that `--config` takes."""
    file = tmp_path / "guards.toml"
    file.write_text(text)
    assert Policy.from_options(config.load(file).options(), "guard") != Policy.from_options({}, "guard")


@pytest.mark.parametrize("text", _blocks("python"))
def test_every_snippet_is_python(text: str, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It compiles, and what it imports is there."""
    monkeypatch.syspath_prepend(str(desk))
    code = compile(text, "snippet", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for node in ast.walk(code):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module or "")
            for each in node.names:
                assert hasattr(module, each.name), f"{node.module} has no {each.name}"


# What a reader runs


@pytest.mark.parametrize("run", _found(r"^\$ python -m pytest -q (test_\w+\.py)\n(\d+ passed)$"))
def test_the_tests_of_the_examples_pass(run: tuple[str, str], desk: Path) -> None:
    """In an author's own directory, as many as the page says."""
    _pytest(desk, *run)


@pytest.mark.parametrize(("file", "passed"), [("test_not_listed.py", "2 passed"), ("test_guestbook.py", "4 passed")])
def test_the_tests_that_are_only_shown_pass(file: str, passed: str, desk: Path) -> None:
    """The pages show them without a command."""
    _pytest(desk, file, passed)


def _pytest(desk: Path, file: str, passed: str) -> None:
    (desk / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", file]
    ended = subprocess.run(command, cwd=desk, capture_output=True, text=True, timeout=100, check=False)
    assert passed in ended.stdout, ended.stdout


@contextmanager
def _serving(command: list[str], desk: Path, pattern: str) -> Iterator[str]:
    """A server of a page's; its port, which it tells on its standard output."""
    server = subprocess.Popen(command, cwd=desk, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)
    assert server.stdout is not None
    seen = b""
    try:
        while not (port := re.search(pattern, seen.decode())):
            assert select.select([server.stdout], [], [], PATIENCE)[0], seen
            chunk = server.stdout.read(1000)
            assert chunk, seen
            seen += chunk
        yield port[1]
    finally:
        server.terminate()
        server.communicate(timeout=PATIENCE)


def _attacks(server: str) -> list[tuple[str, str]]:
    section = (DOCS / "tutorial.md").read_text().partition(f"<!-- against {server} -->")[2].split("```")[1]
    return re.findall(r"^\$ python attack.py (\w+)\n(.+)$", section, re.MULTILINE)


def _but_for_figures(text: str) -> str:
    """What was measured differs from time to time; counts and limits do not."""
    return re.sub(r"\d+\.\d", "#", text)


@pytest.mark.slow
@pytest.mark.parametrize("server", ["bare_echo.py", "echo.py"])
def test_the_attacks_of_the_tutorial_end_as_it_says(server: str, desk: Path) -> None:
    """They go on for ever against the bare server, and are cut by the guarded one."""
    attacks = _attacks(server)
    assert [name for name, _ in attacks] == ["silent", "unread", "crowd"]
    with _serving([sys.executable, "-u", server, "0"], desk, r"listening on port (\d+)\n") as port:
        for name, outcome in attacks:
            command = [sys.executable, "attack.py", name, port]
            ended = subprocess.run(command, cwd=desk, capture_output=True, text=True, timeout=60, check=True)
            assert _but_for_figures(ended.stdout.strip()) == _but_for_figures(outcome)


def test_the_application_file_is_guarded(desk: Path) -> None:
    """Run by twistd, it serves; one connection more than its limit for a peer is refused."""
    file = desk / "guarded.tac"
    file.write_text(file.read_text().replace("tcp:8007", "tcp:0"))
    run = "from twisted.scripts.twistd import run; run()"
    command = [sys.executable, "-c", run, "-n", "--pidfile=", "--python", file.name]
    with _serving(command, desk, r"starting on (\d+)\n") as port:
        peers = [socket.create_connection(("127.0.0.1", int(port)), timeout=PATIENCE) for _ in range(21)]
        try:
            for peer in peers[:-1]:
                peer.sendall(b"hello")
                assert peer.recv(5, socket.MSG_WAITALL) == b"hello"
            assert _is_refused(peers[-1])
        finally:
            for peer in peers:
                peer.close()


def _is_refused(peer: socket.socket) -> bool:
    try:
        return not peer.recv(1)
    except ConnectionError:
        return True


# What a page refers to


@pytest.mark.parametrize("name", _found(r"`(tests/[\w/]+\.py(?:::\w+)?)`"))
def test_every_test_that_is_named_is_there(name: str) -> None:
    """The file is, and the function in it."""
    file, _, function = name.partition("::")
    assert not function or re.search(rf"^(async )?def {function}\(", (ROOT / file).read_text(), re.MULTILINE)
    assert (ROOT / file).is_file()


def test_every_row_of_the_checklist_says_yes_with_a_test() -> None:
    """That the tests are there is tested above."""
    table = (DOCS / "standards.md").read_text().partition("### The checklist\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| .+ \| yes \| (`tests/\S+::\S+`(?:, )?)+ \|$", table, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 44))


def test_the_contract_and_its_tests_are_one_list() -> None:
    """Every item of the wrapper's contract has tests, and every test has its item."""
    tests = set(re.findall(r"def (test_\d\d)_", (ROOT / "tests" / "test_wrapper_contract.py").read_text()))
    items = re.findall(r"^\| (\d+) \|.*\| `(test_\d\d)` \|$", (DOCS / "design.md").read_text(), re.MULTILINE)
    assert [f"test_{int(number):02}" for number, _ in items] == [test for _, test in items] == sorted(tests)


def test_the_links_of_the_readme_lead_somewhere() -> None:
    """Sphinx checks those of its own pages."""
    links = re.findall(r"\]\(([^):]+)\)", (ROOT / "README.md").read_text())
    assert links
    assert [each for each in links if not (ROOT / each).is_file()] == []


def test_every_change_is_told_in_a_file_that_the_changelog_takes() -> None:
    """A misnamed fragment would be left out of it."""
    names = [each.name for each in (DOCS / "changes").iterdir() if each.name != "README.md"]
    kinds = r"\d+\.(added|changed|fixed|removed|security)(\.\d+)?\.md"
    assert [each for each in names if not re.fullmatch(kinds, each)] == []

"""The documentation cannot drift: what it names exists, and what exists is named."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest
from flask import Flask

from scheduler_app import Scheduler
from scheduler_app.cli import scheduler_commands
from scheduler_app.jobs import TRANSITIONS, JobState
from scheduler_app.service import create_app
from scheduler_app.settings import KEYS
from scheduler_app.signals import _signals
from scheduler_app.tasks.registry import DECLARED

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
NOT_KEYS = {"SCHEDULER_ENV"}


def load(name: str, path: Path) -> ModuleType:
    """Import a file under a name, by which a stored job finds its functions."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generate() -> Iterator[ModuleType]:
    path = list(sys.path)
    yield load("docs_generate", DOCS / "generate.py")
    sys.path[:] = path


def code(page: Path) -> list[str]:
    """Return the Python of a page, block by block."""
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


def words(page: Path, pattern: str) -> set[str]:
    return set(re.findall(pattern, page.read_text()))


def test_every_page_that_is_made_from_the_code_says_what_the_code_says(generate: ModuleType) -> None:
    assert generate.stale() == [], "Run: python docs/generate.py"


def test_the_state_chart_of_the_readme_is_the_table_of_transitions() -> None:
    arrows = re.findall(r"^    (\S+) --> (\S+): (.+)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    drawn = {(source, target, who) for source, target, people in arrows for who in people.split(", ")}
    assert drawn == {(move.source or "[*]", move.target, move.who) for move in TRANSITIONS}


def test_a_changed_transition_makes_the_readme_stale(generate: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate.jobs, "TRANSITIONS", TRANSITIONS[1:])
    monkeypatch.setattr(generate.settings, "KEYS", KEYS[1:])
    assert generate.stale() == ["docs/reference/settings.md", "README.md"]


def test_a_changed_hazard_makes_its_page_stale(generate: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate.hazards, "HAZARDS", generate.hazards.HAZARDS[1:])
    assert generate.stale() == ["docs/apscheduler-hazards.md"]


def test_every_state_is_explained() -> None:
    explained = words(DOCS / "architecture.md", r"(?m)^\| `([a-z]+)` \| \w")
    assert set(JobState) <= explained


def test_the_layers_are_those_that_are_checked() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    drawn = re.search(r"```text\n(service .*?)```", (DOCS / "architecture.md").read_text(), re.DOTALL)
    assert drawn is not None
    assert [re.split(r" {2,}", line)[0] for line in drawn[1].splitlines()] == layers


def test_every_setting_is_documented() -> None:
    documented = words(DOCS / "reference" / "settings.md", r"(?m)^\| `(SCHEDULER_\w+)` \|")
    assert documented == {key.name for key in KEYS}


def test_every_signal_is_documented() -> None:
    documented = words(DOCS / "reference" / "signals.md", r"(?m)^\| `(\w+)` \|")
    assert documented == {name.replace("-", "_") for name in _signals}


def test_every_command_is_documented() -> None:
    documented = words(DOCS / "reference" / "cli.md", r"(?m)^## `(flask scheduler[^`]*)`")
    assert documented == set(commands(scheduler_commands, "flask scheduler"))


def commands(command: click.Command, path: str) -> Iterator[str]:
    yield path
    for name, inner in command.commands.items() if isinstance(command, click.Group) else ():
        yield from commands(inner, f"{path} {name}")


def test_every_address_is_documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rules = {rule.rule: rule for rule in create_app().url_map.iter_rules() if not re.search(r"<path:|/$", rule.rule)}
    documented = {
        f"{prefix}{address}": set(methods.split())
        for page, prefix in ((DOCS / "reference" / "rest.md", "/scheduler"), (DOCS / "operations.md", ""))
        for methods, address in re.findall(r"(?m)^\| `((?:[A-Z]+ )+)(/[^`]*)` \|", page.read_text())
    }
    assert rules.keys() - {"/scheduler"} == documented.keys() - {"/"}
    for address, methods in documented.items():
        if address != "/":
            assert methods <= (rules[address].methods or set()), address


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_names_nothing_that_does_not_exist(page: Path) -> None:
    named = words(page, r"(?<![A-Z_])SCHEDULER_[A-Z_]*[A-Z]\b")
    assert named - NOT_KEYS <= {key.name for key in KEYS}
    for line in words(page, r"flask (?:--app \S+ )?scheduler (db \w+|(?!db)[a-z]\w+)"):
        assert f"flask scheduler {line}" in set(commands(scheduler_commands, "flask scheduler"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_inside_leads_somewhere(page: Path) -> None:
    for target in words(page, r"\]\((?!https?:)([^)#]+)"):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_python_of_a_page_is_python(page: Path) -> None:
    for block in code(page):
        compile(block, str(page), "exec")


@pytest.fixture
def quickstart(tmp_path: Path) -> Iterator[ModuleType]:
    """The code of the quickstart as one module; the tasks that it declares are forgotten afterwards."""
    declared = dict(DECLARED)
    DECLARED.clear()
    (tmp_path / "quickstart.py").write_text("\n\n".join(code(DOCS / "guide" / "quickstart.md")))
    yield load("quickstart", tmp_path / "quickstart.py")
    del sys.modules["quickstart"]
    DECLARED.clear()
    DECLARED.update(declared)


def test_the_quickstart_works_as_it_stands(quickstart: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    app: Flask = quickstart.create_app()
    scheduler: Scheduler = quickstart.scheduler
    with app.app_context():
        quickstart.some_view()
        quickstart.another_view()
        quickstart.a_third_view()
        quickstart.a_fourth_view()
        tasks = {job.task for job in scheduler.client.list()}
    app.extensions["scheduler"].store.close()
    assert tasks == {"quickstart:send_mail", "mail.welcome", "quickstart:charge"}
    shown = capsys.readouterr().out
    assert "It is due at" in shown
    assert "Welcome, 1" in shown

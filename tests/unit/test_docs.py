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
from scheduler_app.settings import KEYS, read_settings
from scheduler_app.settings.reading import FLASK_APSCHEDULER_KEYS
from scheduler_app.signals import _signals
from scheduler_app.tasks.registry import DECLARED
from tests.acceptance.sites import SERVERS
from tests.acceptance.starts import ENDS_PLAYED, STARTS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
NOT_KEYS = {"SCHEDULER_ENV", *FLASK_APSCHEDULER_KEYS}


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
    assert generate.stale() == ["docs/reference/settings.md", "README.md", "docs/guide/hooks-and-signals.md"]


def test_a_changed_hazard_makes_its_page_stale(generate: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate.hazards, "HAZARDS", generate.hazards.HAZARDS[1:])
    assert generate.stale() == ["docs/apscheduler-hazards.md"]


def test_a_changed_way_to_start_makes_its_page_stale(generate: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate.starts, "STARTS", generate.starts.STARTS[1:])
    assert generate.stale() == ["docs/guide/servers.md"]


def test_every_way_to_start_and_every_end_of_it_is_played_by_a_test() -> None:
    suite = "".join(path.read_text() for path in (ROOT / "tests" / "acceptance").glob("test_*.py"))
    played = {start.played for start in STARTS if start.played} | set(ENDS_PLAYED.values())
    assert [name for name in sorted(played) if f"\ndef {name}(" not in suite] == []
    assert {end for start in STARTS for end in start.ends} == set(ENDS_PLAYED)
    named = [name for start in STARTS for name in start.names]
    assert sorted(named) == sorted({*SERVERS, "flask scheduler run"})
    assert all(start.names or start.played for start in STARTS)


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
    for name in command.list_commands(click.Context(command)) if isinstance(command, click.Group) else ():
        yield from commands(command.commands[name], f"{path} {name}")


def test_every_address_is_documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    elsewhere = re.compile(r"<path:(rest|filename)>|/$")
    rules: dict[str, set[str]] = {}
    for rule in create_app().url_map.iter_rules():
        if not elsewhere.search(rule.rule):
            rules.setdefault(rule.rule, set()).update(rule.methods or ())
    documented: dict[str, set[str]] = {}
    for page, prefix in ((DOCS / "reference" / "rest.md", "/scheduler"), (DOCS / "operations.md", "")):
        for methods, address in re.findall(r"(?m)^\| `((?:[A-Z]+ )+)(/[^`]*)` \|", page.read_text()):
            documented.setdefault(f"{prefix}{address}", set()).update(methods.split())
    assert rules.keys() - {"/scheduler"} == documented.keys() - {"/"}
    for address, methods in documented.items():
        if address != "/":
            assert methods <= rules[address], address
            assert methods >= rules[address] - {"HEAD", "OPTIONS"} or "/api/" not in address, address


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


def check_settings(app: Flask) -> None:
    read_settings(app.config, app_name=app.name, instance_path=app.instance_path, debug=False)


def test_the_quickstart_works_as_it_stands(quickstart: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    app: Flask = quickstart.create_app()
    scheduler: Scheduler = quickstart.scheduler
    with app.app_context():
        quickstart.some_view()
        quickstart.another_view()
        quickstart.a_third_view()
        quickstart.a_fourth_view()
        tasks = {job.task for job in scheduler.client.list()}
        app.config["SCHEDULER_CARRY"] = quickstart.CARRY
        check_settings(app)
    app.extensions["scheduler"].store.close()
    assert tasks == {"quickstart:send_mail", "mail.welcome", "quickstart:charge"}
    shown = capsys.readouterr().out
    assert "It is due at" in shown
    assert "Welcome, 1" in shown


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The code of the page about transactions as one module."""
    monkeypatch.setenv("FLASK_SQLALCHEMY_DATABASE_URI", f"sqlite:///{tmp_path / 'shop.sqlite3'}")
    monkeypatch.setenv("FLASK_SECRET_KEY", "the secret of the shop")
    (tmp_path / "shop.py").write_text("\n\n".join(code(DOCS / "guide" / "transactions.md")))
    yield load("shop", tmp_path / "shop.py")
    del sys.modules["shop"]


@pytest.mark.parametrize("joins", ["true", "false"])
def test_the_page_about_transactions_works_as_it_stands(
    joins: str, shop: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLASK_SCHEDULER_JOIN_SESSION", joins)
    app: Flask = shop.create_app()
    with app.app_context():
        shop.begin_where_sqlalchemy_says_so(shop.db.engine)
        shop.db.create_all()
        shop.migrate.init_app(app)
        first = shop.place_order()
        shop.place_and_log()
        jobs = {job.id for job in shop.scheduler.client.list()}
        shop.db.session.remove()
        shop.db.engine.dispose()
    app.extensions["scheduler"].store.close()
    assert first in jobs
    assert len(jobs) == 3

"""The layers hold: who may import whom, who may read the clock, who may touch APScheduler's scheduler."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "scheduler_app"

CLOCKS = {
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter"},  # `freezegun` stops the last ones, too
}

LINT_IMPORTS = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True, no_logo=True))"
TYPING_ONLY = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import scheduler_app.tasks"


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LINT_IMPORTS],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def clock_reads(source: str) -> Iterator[int]:
    """Yield the line of each mention of a function that tells the time, and that a test of an app may have frozen."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in CLOCKS.get(_last_name(node.value), ()):
            yield node.lineno
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            yield from (node.lineno for name in node.names if name.name in CLOCKS["time"])


def imports(source: str) -> Iterator[str]:
    """Yield every absolute module or name that is imported, typing-only imports included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{name.name}" for name in node.names)


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id.lstrip("_") if isinstance(node, ast.Name) else ""


def _sources() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), path.read_text()


@pytest.fixture
def empty_package(tmp_path: Path) -> Path:
    """A package with an empty module for each word of the layers, under the project's own contracts."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    (tmp_path / "scheduler_app").mkdir()
    for word in ["__init__", *re.findall(r"\w+", " ".join(layers))]:
        (tmp_path / "scheduler_app" / f"{word}.py").touch()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_no_module_imports_upwards_or_sideways() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_empty_package_keeps_every_contract(empty_package: Path) -> None:
    assert lint_imports(empty_package).returncode == 0


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("errors", "import scheduler_app.client", "scheduler_app.errors is not allowed to import scheduler_app.client"),
        ("jobs", TYPING_ONLY, "scheduler_app.jobs is not allowed to import scheduler_app.tasks"),
        ("cli", "import scheduler_app.admin", "scheduler_app.cli is not allowed to import scheduler_app.admin"),
        ("client", "import sqlalchemy", "scheduler_app is not allowed to import sqlalchemy"),
        ("retry", "import flask", "scheduler_app.retry is not allowed to import flask"),
        ("utils", "", "scheduler_app.utils"),
    ],
)
def test_a_planted_import_that_breaks_a_contract_is_found(
    empty_package: Path, module: str, line: str, broken: str
) -> None:
    (empty_package / "scheduler_app" / f"{module}.py").write_text(f"{line}\n")
    done = lint_imports(empty_package)
    assert done.returncode == 1
    assert broken in done.stdout


def test_only_the_clock_reads_the_time() -> None:
    found = [f"{name}:{line}" for name, source in _sources() if name != "clock.py" for line in clock_reads(source)]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "datetime.now(UTC)",
        "datetime.datetime.utcnow()",
        "date.today()",
        "time.time()",
        "field(default_factory=time.time)",
        "from time import time",
        "import time as _time\n_time.time_ns()",
        "deadline = time.monotonic() + 5",
        "from time import monotonic",
    ],
)
def test_a_planted_reading_of_the_time_is_found(source: str) -> None:
    assert list(clock_reads(source))


@pytest.mark.parametrize("source", ["clock.now()", "from ..clock import monotonic", "monotonic()", "'datetime.now()'"])
def test_the_clocks_of_the_package_may_be_read_anywhere(source: str) -> None:
    assert list(clock_reads(source)) == []


def test_only_the_loop_imports_the_schedulers_of_apscheduler() -> None:
    found = [
        f"{name} imports {imported}"
        for name, source in _sources()
        if not name.startswith("loop/")
        for imported in imports(source)
        if f"{imported}.".startswith("apscheduler.schedulers.")
    ]
    assert found == []


def test_a_planted_import_of_a_scheduler_is_found() -> None:
    planted = "if TYPE_CHECKING:\n    from apscheduler.schedulers.background import BackgroundScheduler"
    assert list(imports(planted)) == ["apscheduler.schedulers.background.BackgroundScheduler"]

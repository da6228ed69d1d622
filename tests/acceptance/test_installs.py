"""What is shipped is whole: built, installed and used from an empty folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SHIPPED = {"scheduler_app": "scheduler_app", "alembic": "scheduler_app/alembic", "config": "scheduler_app/config"}
PLUGIN = "pytest_scheduler_app.py"
SOURCES = [*SHIPPED, PLUGIN, "tests", "benchmarks", "docs", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"]

pytestmark = pytest.mark.timeout(180)


def run(*command: str | Path, cwd: Path) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FLASK_", "SCHEDULER_"))}
    done = subprocess.run(
        command, cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def fails(*command: str | Path, cwd: Path) -> str:
    with pytest.raises(AssertionError) as raised:
        run(*command, cwd=cwd)
    return str(raised.value)


def files(folder: Path) -> set[str]:
    """Return what a package of this folder should hold, as paths relative to it."""
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix() for path in found}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout, as a fresh clone has it."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
        if source.is_file():
            shutil.copy(source, copy)
    return copy


@pytest.fixture(scope="module")
def built(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, checkout, cwd=folder)
    return folder


@pytest.fixture
def fresh_python(tmp_path: Path) -> Path:
    """The Python of a new environment that sees this one's packages, but not its editable installs."""
    venv.create(tmp_path / "env", with_pip=False)
    site = next((tmp_path / "env").glob("lib/python*/site-packages"))
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return tmp_path / "env" / "bin" / "python"


@pytest.fixture
def empty_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


@pytest.fixture
def lean_python(tmp_path: Path) -> Path:
    """The Python of a new environment with what `pip install scheduler-app pytest` brings, but for scheduler-app."""
    venv.create(tmp_path / "lean", with_pip=False)
    site = next((tmp_path / "lean").glob("lib/python*/site-packages"))
    for name in needed("scheduler-app", "pytest") - {"scheduler-app"}:
        here = Path(str(distribution(name).locate_file("")))
        for top in {file.parts[0] for file in distribution(name).files or ()} - {"..", "__pycache__"}:
            (site / top).symlink_to(here / top)
    return tmp_path / "lean" / "bin" / "python"


def needed(*names: str) -> set[str]:
    """Return the distributions that pip would install for these, themselves included, without any extra."""
    found, wanted = set[str](), {canonicalize_name(name) for name in names}
    while wanted:
        found |= wanted
        asked = [Requirement(line) for name in wanted for line in distribution(name).requires or ()]
        applying = [one for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
        wanted = {canonicalize_name(one.name) for one in applying} - found
    return found


def install(python: Path, *what: str | Path, cwd: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    run(*pip, "install", "--quiet", "--no-index", "--no-deps", "--ignore-installed", *what, cwd=cwd)


def use(python: Path, folder: Path) -> Iterator[str]:
    """Do what a newcomer does first, and yield what is answered."""
    yield run(python, "-c", "import scheduler_app; print(scheduler_app.__file__)", cwd=folder)
    yield run(python, "-m", "flask", "--app", "scheduler_app", "scheduler", "--help", cwd=folder)
    yield run(python, "-m", "flask", "--app", "scheduler_app", "scheduler", "db", "upgrade", cwd=folder)


def test_the_wheel_holds_the_package_with_its_migrations_and_config(built: Path, checkout: Path) -> None:
    wheel = zipfile.ZipFile(next(built.glob("*.whl")))
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    wanted = {f"{target}/{file}" for source, target in SHIPPED.items() for file in files(checkout / source)}
    assert packed == wanted | {PLUGIN}
    assert "scheduler_app/py.typed" in packed
    assert any(name.startswith("scheduler_app/alembic/versions/") for name in packed)
    assert any(name.startswith("scheduler_app/config/") for name in packed)


def test_the_source_distribution_holds_the_tests(built: Path, checkout: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert {PLUGIN, *(f"tests/{file}" for file in files(checkout / "tests"))} <= packed


def test_the_wheel_works_from_an_empty_folder(built: Path, fresh_python: Path, empty_folder: Path) -> None:
    install(fresh_python, next(built.glob("*.whl")), cwd=empty_folder)
    place, commands, _ = use(fresh_python, empty_folder)
    assert Path(place.strip()).is_relative_to(fresh_python.parents[1])
    assert "Usage" in commands


SUITE = """
import sys

import pytest
from flask import Flask

from scheduler_app import Scheduler, schedule_after
from scheduler_app.errors import ExtraMissingError

ran = []


def work():
    ran.append(1)


@pytest.fixture
def app():
    app = Flask(__name__)
    app.testing = True
    Scheduler(app)
    return app


def test_it(app, scheduler_clock):
    with app.app_context():
        schedule_after(3600, work)
    scheduler_clock.assert_scheduled(work, within=3600, times=1)
    scheduler_clock.advance(hours=1)
    assert ran == [1]
    with pytest.raises(ExtraMissingError, match=r"pip install 'scheduler-app\\[testing\\]'"):
        scheduler_clock.freeze()
"""
OTHER_SUITE = """
import sys


def test_it():
    assert {"scheduler_app", "flask", "sqlalchemy"}.isdisjoint(sys.modules)
"""
FROM_AN_APP = "import sys, pytest, scheduler_app; sys.exit(pytest.main(['-q', '-W', 'error', 'test_suite.py']))"


def test_a_fresh_project_needs_pytest_and_nothing_else(built: Path, lean_python: Path, empty_folder: Path) -> None:
    install(lean_python, next(built.glob("*.whl")), cwd=empty_folder)
    (empty_folder / "test_suite.py").write_text(SUITE)
    (empty_folder / "test_other.py").write_text(OTHER_SUITE)
    for suite in ("test_suite.py", "test_other.py"):
        assert "1 passed" in run(lean_python, "-m", "pytest", "-W", "error", suite, cwd=empty_folder)
    assert "1 passed" in run(lean_python, "-c", FROM_AN_APP, cwd=empty_folder)
    assert "No module named 'freezegun'" in fails(lean_python, "-c", "import freezegun", cwd=empty_folder)


def test_an_editable_install_works_from_an_empty_folder(checkout: Path, fresh_python: Path, empty_folder: Path) -> None:
    install(fresh_python, "--no-build-isolation", "--editable", checkout, cwd=empty_folder)
    place, commands, _ = use(fresh_python, empty_folder)
    assert Path(place.strip()).is_relative_to(checkout)
    assert "Usage" in commands

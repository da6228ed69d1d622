"""The house files agree with each other: locks, entry points, time budgets."""

from __future__ import annotations

import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS = ["requirements.lock", "requirements-run.lock", "benchmarks/requirements.lock"]
ENTRY_POINTS = [target for group in PROJECT["entry-points"].values() for target in group.values()]


def locked(lock: str) -> dict[str, str]:
    """Return the locked version of each package by its name."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9-]", requirement)[0].lower() for requirement in requirements}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_host_and_no_folder(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert not re.search(r"://|^-|@|file:|^\s*/", text, re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_a_hash(lock: str) -> None:
    text = re.sub(r"\s*#.*", "", (ROOT / lock).read_text()).strip()
    for requirement in re.split(r"\n(?=\S)", text):
        assert re.match(r"\S+==\S+ \\\n\s+--hash=sha256:[0-9a-f]{64}", requirement), requirement


@pytest.mark.parametrize("lock", LOCKS[1:])
def test_the_smaller_locks_name_the_versions_that_are_tested(lock: str) -> None:
    everything = locked(LOCKS[0])
    assert {name: version for name, version in locked(lock).items() if everything.get(name) != version} == {}


def test_each_lock_holds_what_the_project_asks_for() -> None:
    extras = PROJECT["optional-dependencies"]
    core = names(PROJECT["dependencies"])
    assert core | names(extras["dev"]) <= locked("requirements.lock").keys()
    assert core | {"hatchling"} <= locked("requirements-run.lock").keys()
    assert core | names(extras["bench"]) <= locked("benchmarks/requirements.lock").keys()


@pytest.mark.parametrize("target", ENTRY_POINTS)
def test_each_entry_point_leads_to_something(target: str) -> None:
    module, _, name = target.partition(":")
    found = import_module(module)
    assert not name or callable(getattr(found, name))  # a pytest plugin is a module


def test_all_suites_together_take_at_most_twenty_minutes() -> None:
    budgets = dict(re.findall(r"^(\w+)_BUDGET := (\d+)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(budgets) == {"LINT", "UNIT", "CONFORMANCE", "MIGRATIONS", "ACCEPTANCE"}
    linters_are_two = int(budgets["LINT"])
    assert sum(map(int, budgets.values())) + linters_are_two <= 20 * 60

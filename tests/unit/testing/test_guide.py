"""The suite that the guide shows is run as it stands, and its failing test fails as the guide says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "testing.md"
FILES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", GUIDE.read_text(), re.DOTALL))
"""The files of the guide's suite, by the name in the first line of each."""
TESTS = [name for name in FILES if name.startswith("test_") and name != "test_failing.py"]


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def run(suite: Path, *command: str) -> tuple[int, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=suite, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_the_guides_suite_passes_in_several_processes_without_a_warning(suite: Path) -> None:
    code, said = run(suite, "pytest", "-W", "error", "--numprocesses", "2", *TESTS)
    assert code == 0, said
    count = sum(len(re.findall(r"^ *def test_", FILES[name], re.MULTILINE)) for name in TESTS)
    assert f"{count} passed" in said
    assert not (suite / "instance").exists(), "the app's own database was made"


def test_the_guides_test_case_needs_no_pytest(suite: Path) -> None:
    code, said = run(suite, "unittest", "test_unittest")
    assert code == 0, said


def test_the_guides_failure_is_what_is_shown(suite: Path) -> None:
    [shown] = re.findall(r"```text\n(>.*?)```", GUIDE.read_text(), re.DOTALL)
    code, said = run(suite, "pytest", "test_failing.py")
    assert code == 1
    assert shown in said

"""What the acceptance tests measured is shown at the end of their run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_figures_of_passing_tests_are_shown_and_those_of_a_failure_stay_in_its_report(tmp_path: Path) -> None:
    suite = tmp_path / "acceptance"
    suite.mkdir()
    shutil.copy(ROOT / "tests/acceptance/conftest.py", suite)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_other.py").write_text("def test_of_another_suite():\n    print('of another suite')\n")
    (suite / "test_kill.py").write_text(
        "def test_kills():\n    print('\\nsqlite: 12 acknowledged, 12 run')\n\n"
        "def test_silent(): pass\n\n"
        "def test_fails():\n    print('of the failure')\n    assert False\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider", "--tb=no"]
    plain = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    done = subprocess.run(command, cwd=tmp_path, env=plain, capture_output=True, text=True, timeout=50, check=False)
    lines = done.stdout.splitlines()
    place = next(number for number, line in enumerate(lines) if line.strip("= ") == "figures")
    assert lines[place + 1] == "test_kill.py::test_kills: sqlite: 12 acknowledged, 12 run"
    assert "of the failure" not in done.stdout
    assert "of another suite" not in done.stdout
    assert "test_silent" not in done.stdout

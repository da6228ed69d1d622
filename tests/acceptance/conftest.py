"""The figures that the tests print are shown at the end of a run, of tests that pass too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest


def figures_of(reports: Iterable[pytest.TestReport]) -> Iterator[str]:
    """Yield what tests printed while they were called, a line each, after the test's name."""
    for report in reports:
        lines = [line for name, said in report.sections if name == "Captured stdout call" for line in said.splitlines()]
        yield from (f"{report.nodeid.rpartition('/')[2]}: {line}" for line in lines if line.strip())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the figures of this suite's tests that passed; those of a failure stand in its own report."""
    here, root = Path(__file__).parent, terminalreporter.config.rootpath
    passed = terminalreporter.getreports("passed")
    lines = list(figures_of(each for each in passed if (root / each.location[0]).is_relative_to(here)))
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.line(line)

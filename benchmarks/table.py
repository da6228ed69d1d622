"""A report as text for people."""

from __future__ import annotations

from typing import Any


def as_table(found: dict[str, Any]) -> str:
    """Return a report as a table of sides and figures, with the ratios and goals below it."""
    machine = found["machine"]
    head = (
        f"{found['measurement']} on {machine['database']}: {found['jobs']:,} jobs, {found['rounds']} rounds,"
        f" {machine['cores']} cores, Python {machine['python']}, load {machine['load']}"
    )
    ratios = [f"{name}: {value:.3g}" for name, value in found["ratios"].items()]
    return "\n".join([head, "", *_rows(found["sides"]), "", *ratios, *map(_goal, found["goals"])])


def _rows(sides: dict[str, dict[str, Any]]) -> list[str]:
    names = list(dict.fromkeys(name for side in sides.values() for name, value in side.items() if _is_number(value)))
    cells = [["", *names]] + [[side, *(_shown(figures.get(name)) for name in names)] for side, figures in sides.items()]
    widths = [max(len(row[column]) for row in cells) for column in range(len(names) + 1)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.4g}"


def _goal(goal: dict[str, Any]) -> str:
    bound = f"at least {goal['at_least']:g}" if "at_least" in goal else f"at most {goal['at_most']:g}"
    return f"{'met' if goal['met'] else 'MISSED'}: {goal['what']} {bound}, found {goal['found']:.4g}"

"""Writes what the code says about itself into the documentation: ``python docs/generate.py`` (or ``--check``).

The reference of settings, signals and commands, the table of states, the state chart of the README, and the hazards of
stock APScheduler that the tests play. A test compares them with the code, so that neither can change alone.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
sys.path.insert(0, str(ROOT))

# The checkout's, also where another is installed.
from scheduler_app import cli, jobs, settings, signals  # noqa: E402
from tests.conformance import hazards  # noqa: E402

MADE = "<!-- Made by `python docs/generate.py`; change the code, then run that. -->\n"
COMMAND_WIDTH = 100


def settings_page() -> str:
    """Return docs/reference/settings.md."""
    rows = [f"| `{key.name}` | {_cell(_default(key.default))} | {_cell(key.sentence)} |" for key in settings.KEYS]
    return "\n".join(
        [
            f"# Settings\n\n{MADE}",
            "Each is a key of `app.config`. Environment variables reach them through"
            " `app.config.from_prefixed_env()`, as `FLASK_SCHEDULER_...`; the demo service reads `SCHEDULER_...`"
            " itself. All are read once, by `init_app`, and every problem is reported at once. Times are seconds.\n",
            "| Setting | Default | What it does |\n|---|---|---|",
            *rows,
            "",
        ]
    )


def _default(text: str) -> str:
    return f"`{text}`" if text[:1] in "{/" or text.replace(".", "").isdigit() else text


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def signals_page() -> str:
    """Return docs/reference/signals.md."""
    rows = [f"| `{name}` | {_cell(text)} |" for name, text in _documented(Path(signals.__file__))]
    return "\n".join(
        [
            f"# Signals\n\n{MADE}",
            "What happens inside, told by [blinker](https://blinker.readthedocs.io) signals of"
            " `scheduler_app.signals`. They observe: no receiver can change what is stored. Most are sent from the"
            " scheduler's own threads, outside an app context, after the commit of what they tell; a receiver must"
            " take `**facts`, for more may come.\n",
            "```python\nfrom scheduler_app import signals\n\n\n@signals.job_settled.connect\n"
            "def count(sender, *, task, state, **facts):\n    print(task, state)\n```\n",
            "| Signal | When, and with which facts |\n|---|---|",
            *rows,
            "",
        ]
    )


def states_table() -> str:
    """Return the table of states for docs/architecture.md."""
    found = dict(_documented(Path(jobs.__file__), "JobState"))
    rows = [f"| `{state.value}` | {_cell(found[state.name])} |" for state in jobs.JobState]
    return "\n".join(["| State | What it means |\n|---|---|", *rows])


def _documented(path: Path, inside: str | None = None) -> Iterator[tuple[str, str]]:
    """Yield each name that is assigned in a module (or a class of it), with the docstring that follows it."""
    body = ast.parse(path.read_text()).body
    if inside:
        body = next(node.body for node in body if isinstance(node, ast.ClassDef) and node.name == inside)
    for node, following in pairwise(body):
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            yield node.targets[0].id, " ".join(str(following.value.value).split())


def state_chart() -> str:
    """Return the life of a job as a Mermaid chart: one arrow for each pair of states, and who moves a job so."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for move in jobs.TRANSITIONS:
        source = "[*]" if move.source is None else move.source.value
        arrows.setdefault((source, move.target.value), []).append(move.who)
    lines = [f"    {s} --> {t}: {', '.join(dict.fromkeys(who))}" for (s, t), who in arrows.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


def hazards_table() -> str:
    """Return the table of hazards for docs/apscheduler-hazards.md."""
    rows = [
        f"| **{hazard.title}.** {hazard.scene} | {_seen(hazard.stock)} | {_seen(hazard.here)} |"
        for hazard in hazards.HAZARDS
    ]
    return "\n".join(["| Hazard | Stock APScheduler 3.11 | Here |\n|---|---|---|", *rows])


def _seen(seen: hazards.Seen) -> str:
    return f"**{seen.outcome}**: {_cell(seen.why)}"


def commands_page() -> str:
    """Return docs/reference/cli.md."""
    return "\n".join(
        [
            f"# Commands\n\n{MADE}",
            "`flask --app yourapp scheduler ...`, with the app found as for `flask run`. Data goes to stdout, notes to"
            " stderr. Only `run` claims jobs.\n",
            *_sections(cli.scheduler_commands, click.Context(click.Group("flask"), info_name="flask")),
        ]
    )


def _sections(command: click.Command, parent: click.Context) -> Iterator[str]:
    context = click.Context(
        command, parent, info_name=command.name, terminal_width=COMMAND_WIDTH, max_content_width=COMMAND_WIDTH
    )
    yield f"## `{context.command_path}`\n\n```text\n{command.get_help(context)}\n```\n"
    for name in command.list_commands(context) if isinstance(command, click.Group) else ():
        inner = command.get_command(context, name)
        assert inner is not None
        yield from _sections(inner, context)


# -- writing ---------------------------------------------------------------------------------------


def between(text: str, name: str, made: str) -> str:
    """Return `text` with what stands between the marks of this name replaced by `made`."""
    before, mark, rest = text.partition(f"<!-- {name}: made by `python docs/generate.py` -->\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->")
    assert end, f"The marks of {name} are missing."
    return f"{before}{mark}{made}\n{end}{after}"


PAGES: dict[Path, Callable[[], str]] = {
    DOCS / "reference" / "settings.md": settings_page,
    DOCS / "reference" / "signals.md": signals_page,
    DOCS / "reference" / "cli.md": commands_page,
    ROOT / "README.md": lambda: between((ROOT / "README.md").read_text(), "states", state_chart()),
    DOCS / "architecture.md": lambda: between((DOCS / "architecture.md").read_text(), "states", states_table()),
    DOCS / "apscheduler-hazards.md": lambda: between(
        (DOCS / "apscheduler-hazards.md").read_text(), "hazards", hazards_table()
    ),
}
"""Each page that is made, or partly made, and how."""


def stale() -> list[str]:
    """Return the pages that say something else than the code."""
    return [str(path.relative_to(ROOT)) for path, make in PAGES.items() if not _is_fresh(path, make())]


def _is_fresh(path: Path, made: str) -> bool:
    return path.exists() and path.read_text() == made


def main() -> None:
    """Write every page; with --check, only say which ones are stale."""
    if "--check" in sys.argv[1:]:
        sys.exit("\n".join(stale()))
    for path, make in PAGES.items():
        path.write_text(make())


if __name__ == "__main__":
    main()

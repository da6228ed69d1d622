"""Writes what the code says about itself into the documentation: ``python docs/generate.py`` (or ``--check``).

The reference of settings, signals, commands and REST, the table of states, the state chart of the README, the signals
of transitions, the hazards of stock APScheduler that the tests play, what the tests see of responses under each server,
and the ways to start. A test compares them with the code, so that neither can change alone.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
sys.path.insert(0, str(ROOT))

# The checkout's, also where another is installed.
from scheduler_app import cli, jobs, settings, signals  # noqa: E402
from scheduler_app.admin import auth, blueprint, bodies, openapi, operations  # noqa: E402
from tests.acceptance import starts  # noqa: E402
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


def transitions_table() -> str:
    """Return, for docs/guide/hooks-and-signals.md, which signal tells of which change of state."""
    rows = [
        f"| {f'`{move.source.value}`' if move.source else 'new'} | `{move.target.value}`"
        f" | {move.who}: {move.when} | `{move.signal}` |"
        for move in jobs.TRANSITIONS
    ]
    return "\n".join(["| From | To | Who, when | Signal |\n|---|---|---|---|", *rows])


def hazards_table() -> str:
    """Return the table of hazards for docs/apscheduler-hazards.md."""
    rows = [
        f"| **{hazard.title}.** {hazard.scene} | {_seen(hazard.stock)} | {_seen(hazard.here)} |"
        for hazard in hazards.HAZARDS
    ]
    return "\n".join(["| Hazard | Stock APScheduler 3.11 | Here |\n|---|---|---|", *rows])


def _seen(seen: hazards.Seen) -> str:
    return f"**{seen.outcome}**: {_cell(seen.why)}"


KINDS = {
    "body": "200 with a body",
    "empty": "202, empty",
    "none": "204",
    "head": "HEAD",
    "not modified": "304",
    "stream": "streamed",
    "file": "`send_file`",
    "kept": "and another request on the connection",
    "gone": "the client leaves half-way",
    "raises": "the view raises",
}
"""The kinds of responses, in words."""
WAYS = {
    "after_response": "`after_response(work)`",
    "thread": "`threading.Thread(target=work).start()` in the view",
    "teardown_request": "`work()` in a function of `@app.teardown_request`",
    "generator": "`work()` after the last `yield` of a streamed body",
    "call_on_close": "`response.call_on_close(work)`",
}
"""The ways to do work after a response, in words."""


def responses_tables() -> str:
    """Return, for docs/guide/after-response.md, what is seen under each server: a table for each way."""
    seen = json.loads((ROOT / "tests" / "acceptance" / "responses" / "seen.json").read_text())
    tables = []
    for way, title in WAYS.items():
        cells = {kind: " | ".join(seen[server][way][kind] for server in seen) for kind in KINDS}
        rows = [f"| {words} | {cells[kind]} |" for kind, words in KINDS.items()]
        head = f"| | {' | '.join(seen)} |\n|---|{'---|' * len(seen)}"
        tables.append("\n".join([f"### {title}\n", head, *rows, ""]))
    return "\n".join(tables)


def starts_table() -> str:
    """Return, for docs/guide/servers.md, who runs jobs in each way to start, since when, and what becomes of them."""
    rows = [f"| {start.shown} | {start.runs} | {start.since} | {_ends(start)} |" for start in starts.STARTS]
    head = "| Started by | Jobs are run by | Since | At its end, jobs that run are |\n|---|---|---|---|"
    return "\n".join([head, *rows])


def _ends(start: starts.Start) -> str:
    """Return what becomes of running jobs, each with all that ends the process so."""
    hows: dict[starts.End, list[str]] = {}
    for how, end in start.ends:
        hows.setdefault(end, []).append(how)
    return "; ".join(f"**{end}**: {', '.join(some)}" for end, some in hows.items()) or "-"


COMMON = {400, 401, 403, 413, 422, 503}
"""Errors that every action may answer, or every one with a body; the reference tells them once."""


def routes_table() -> str:
    """Return, for docs/reference/rest.md, each address with its role, what it does, and what it answers."""
    rows = []
    for address, methods, action in blueprint.ROUTES:
        if len(methods) > 1:
            continue
        name, role = action.__name__, auth.RULES[action.__name__]
        who = "whoever has the address" if "<token>" in address else role
        own = [status for status in operations.errors_of(name, methods[0], address, role) if status not in COMMON]
        statuses = ", ".join(map(str, [*operations.operation_of(name).answers, *own]))
        rows.append(f"| `{methods[0]} {address}` | {who} | {_cell(openapi.summary_of(action))} | {statuses} |")
    return "\n".join(["| Request | Role | What it does | Answers |\n|---|---|---|---|", *rows])


def bodies_tables() -> str:
    """Return, for docs/reference/rest.md, the fields of each body, and an example."""
    names = {action.__name__: f"{methods[0]} {address}" for address, methods, action in blueprint.ROUTES}
    tables = []
    for name, shape in bodies.BODIES.items():
        rows = [f"| `{field}` | {_shaped(one)} | {_cell(one['description'])} |" for field, one in _fields(shape)]
        example = json.dumps(bodies.EXAMPLES[name])
        head = "| Field | Takes | |\n|---|---|---|"
        tables.append("\n".join([f"### `{names[name]}`\n", head, *rows, "", f"```json\n{example}\n```", ""]))
    return "\n".join(tables)


def _fields(shape: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, one in shape["properties"].items():
        needed = "Required. " if name in shape.get("required", ()) else ""
        yield name, {**one, "description": f"{needed}{one.get('description', '')}".strip()}


_KINDS = {
    "string": "text",
    "array": "an array",
    "object": "an object",
    "number": "a number",
    "integer": "an integer",
    "boolean": "true or false",
}


def _shaped(shape: Mapping[str, Any]) -> str:
    """Return in words what a field takes."""
    if "enum" in shape:
        return ", ".join(f"`{value}`" for value in shape["enum"])
    if shape.get("format") == "date-time":
        return "an instant"
    words = _KINDS[shape["type"]]
    if "items" in shape:
        words += f" of {_KINDS[shape['items']['type']]}"
    if "pattern" in shape:
        words = "a UUIDv7"
    bounds = {"minimum": "from {}", "exclusiveMinimum": "above {}", "maximum": "to {}", "maxLength": "to {} characters"}
    said = [bounds[name].format(f"{shape[name]:,.0f}") for name in bounds if name in shape]
    return " ".join([words, *said])


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
    DOCS / "reference" / "rest.md": lambda: between(
        between((DOCS / "reference" / "rest.md").read_text(), "routes", routes_table()), "bodies", bodies_tables()
    ),
    ROOT / "README.md": lambda: between((ROOT / "README.md").read_text(), "states", state_chart()),
    DOCS / "architecture.md": lambda: between((DOCS / "architecture.md").read_text(), "states", states_table()),
    DOCS / "guide" / "after-response.md": lambda: between(
        (DOCS / "guide" / "after-response.md").read_text(), "responses", responses_tables()
    ),
    DOCS / "guide" / "hooks-and-signals.md": lambda: between(
        (DOCS / "guide" / "hooks-and-signals.md").read_text(), "transitions", transitions_table()
    ),
    DOCS / "guide" / "servers.md": lambda: between(
        (DOCS / "guide" / "servers.md").read_text(), "starts", starts_table()
    ),
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

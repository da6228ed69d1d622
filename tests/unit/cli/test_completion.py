"""What the shell offers at TAB."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.shell_completion import CompletionItem, ShellComplete
from flask import Flask
from flask.cli import FlaskGroup

from scheduler_app.cli import scheduler_commands
from scheduler_app.client import Client, make_options
from scheduler_app.errors import ConfigurationError
from tests.unit.cli.conftest import MakeApp
from tests.unit.cli.shop import put


def offered(create_app: Callable[[], Flask], *words: str) -> dict[str, str | None]:
    """Return what is offered for the last word, with its help."""
    group = FlaskGroup(create_app=create_app)
    group.add_command(scheduler_commands)
    complete = ShellComplete(group, {}, "flask", "_FLASK_COMPLETE")
    items: list[CompletionItem] = complete.get_completions(["scheduler", *words[:-1]], words[-1])
    return {item.value: item.help for item in items}


def test_ids_are_offered_with_what_they_are(app: Flask, client: Client) -> None:
    job = put(client)
    assert offered(lambda: app, "show", "") == {job.id: f"scheduled {job.task}"}
    assert offered(lambda: app, "why", job.id[:8]) == {job.id: f"scheduled {job.task}"}
    assert offered(lambda: app, "why", "f") == {}


def test_only_jobs_that_can_be_cancelled_are_offered_for_that(app: Flask, client: Client) -> None:
    done, waiting = put(client), put(client)
    client.cancel(done.id)
    assert list(offered(lambda: app, "cancel", "")) == [waiting.id]
    assert list(offered(lambda: app, "show", "")) == [waiting.id, done.id]


def test_states_zones_queues_tasks_and_executors_are_offered(make_app: MakeApp) -> None:
    app = make_app(SCHEDULER_QUEUES=["mail", "slow"])
    job = put(app.extensions["scheduler"].client, options=make_options(queue="mail"))
    assert list(offered(lambda: app, "list", "--state", "s")) == ["scheduled", "succeeded"]
    assert list(offered(lambda: app, "list", "--tz", "Europe/Os")) == ["Europe/Oslo"]
    assert set(offered(lambda: app, "run", "--queue", "")) == {"default", "mail", "slow"}
    assert list(offered(lambda: app, "list", "--task", job.task[:8])) == [job.task]
    assert list(offered(lambda: app, "run", "--executor", "")) == ["default="]


@pytest.mark.parametrize("words", [("show", ""), ("cancel", "0"), ("list", "--task", "")], ids=" ".join)
def test_where_the_app_or_the_store_fails_nothing_is_offered_and_nothing_raised(
    make_app: MakeApp, words: tuple[str, ...]
) -> None:
    def broken() -> Flask:
        raise ConfigurationError(["SCHEDULER_X is not a setting."])

    unreachable = make_app(SCHEDULER_DATABASE_URL="postgresql://me@127.0.0.1:1/jobs")
    assert offered(broken, *words) == {}
    assert offered(lambda: Flask("plain"), *words) == {}
    if words[0] != "list":
        assert offered(lambda: unreachable, *words) == {}

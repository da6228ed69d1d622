"""The group of all commands: it finds the app, and turns every failure into one message and an exit code."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any

import click
from flask.cli import AppGroup, with_appcontext

from ..client import Actor, audited, current_client
from ..errors import SchedulerError, StoreRefusedError
from ..store import Store, reason
from .exits import Exit, failure
from .words import is_text, printable


class Commands(AppGroup):
    """A group whose commands run in the app's context, and whose changes are those of whoever types them."""

    def command(  # type: ignore[override]
        self, *args: Any, noted: bool = True, **kwargs: Any
    ) -> Callable[[Callable[..., Any]], click.Command]:
        """Register a command; what the database refuses inside it becomes a `StoreRefusedError`.

        Its changes are written down in the audit, unless it runs code of the app's own (`noted` False).
        """

        def register(function: Callable[..., Any]) -> click.Command:
            run = _refusable(_noted(function) if noted else function)
            command: click.Command = click.Group.command(self, *args, **kwargs)(with_appcontext(run))
            return command

        return register


class SchedulerCommands(Commands):
    """The outermost group: no traceback for what a person can mend, and an exit code for each way to end."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse what was typed where it is no text: no id, name or argument that could be stored is like that."""
        for word in args:
            if not is_text(word):
                raise click.UsageError(f"'{printable(word)}' is no text: its bytes are not UTF-8.", ctx)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Import the commands, and name them."""
        _import_commands()
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the commands, and find one."""
        _import_commands()
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. Finding and making the app happens in here too."""
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        try:
            return super().invoke(ctx)
        except SchedulerError as error:
            raise failure(error, ctx.invoked_subcommand) from error
        except (KeyboardInterrupt, click.Abort):
            click.echo("Interrupted.", err=True)
            ctx.exit(Exit.INTERRUPTED)


def _import_commands() -> None:
    """Import every command. Each registers itself on the group below, so this module cannot import them by its own."""
    import_module(f"{__package__}.commands")


def _noted(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        user = _user()
        with audited(Actor(user, "admin"), door="cli", user=user, host=socket.gethostname()):
            return function(*args, **kwargs)

    return run


def _user() -> str:
    """Return the name of whoever runs this process, as the system knows it and no variable can say otherwise."""
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
    except ImportError:  # not a POSIX system
        return getpass.getuser()


def _refusable(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (BrokenPipeError, SchedulerError):  # OSErrors too, some of them, and not the database's doing
            raise
        except Store.errors as error:
            raise StoreRefusedError(current_client().store.url, reason(error)) from error

    return run


@click.group(
    "scheduler",
    cls=SchedulerCommands,
    short_help="Run, list and cancel deferred jobs.",
    epilog="Exit codes: 0 ok, 1 error, 2 wrong usage, 3 not found, 4 conflict, 5 partly failed, "
    "69 database unreachable or unusable, 130 interrupted.",
)
def scheduler_commands() -> None:
    """Run, list, explain and cancel the jobs of an app.

    \b
    Where to begin:
      flask scheduler status        is everything well?
      flask scheduler list          the newest jobs
      flask scheduler why ID        why has this one not run yet?
      flask scheduler queues        what waits in which queue?
      flask scheduler add TASK      schedule a call, and perhaps wait for it
      flask scheduler run           run jobs in this process, until Ctrl-C
      flask scheduler doctor        is it set up well?

    Data goes to stdout, notes to stderr; most commands take --format json.
    """


@scheduler_commands.group("db", cls=Commands)
def db_commands() -> None:
    """Make, upgrade and check the scheduler's tables.

    They stand in SCHEDULER_DATABASE_URL, with a version table of their own, so they can live in the
    app's database beside its own migrations.
    """

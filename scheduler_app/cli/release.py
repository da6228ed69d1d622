"""`flask scheduler release`: take jobs out of quarantine, once what was wrong with them is mended."""

from __future__ import annotations

from datetime import tzinfo

import click

from ..asking import Verb
from ..client import current_client
from . import completion
from .acting import WHICH, Care, act_on_jobs, filter_options, key_option
from .group import scheduler_commands
from .options import zone_options
from .timing import due_line


@scheduler_commands.command("release", short_help="Take jobs out of quarantine.")
@click.argument("ids", metavar=WHICH, nargs=-1, shell_complete=completion.ids_to_release)
@key_option
@filter_options
@zone_options
@click.pass_context
def release_jobs(
    ctx: click.Context, ids: tuple[str, ...], keys: tuple[str, ...], care: Care, zone: tzinfo | None
) -> None:
    """Take jobs out of quarantine, once what was wrong with them is mended: each runs at its time, or at once.

    If nothing is mended, a worker puts it aside again. 'flask scheduler why' says what is wrong.

    \b
    flask scheduler release 0192f0c1-5b1e-7c44-9a50-0c8f6a3d2b11
    flask scheduler release state=quarantined task=mail.*
    """

    def release(**name: str) -> str:
        return due_line(current_client().release(**name), zone)

    act_on_jobs(ctx, Verb.RELEASE, ids, keys, release, "released", care)

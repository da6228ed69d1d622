"""`flask scheduler why`: why has it not run yet?"""

from __future__ import annotations

from datetime import tzinfo

import click

from ..client import current_client
from . import completion
from .group import scheduler_commands
from .instants import exact, iso, zone_or_app
from .options import format_option, zone_options
from .output import echo, write_json
from .words import coloured, printable


@scheduler_commands.command("why", short_help="Explain why a job has not run yet.")
@click.argument("job_id", metavar="ID", shell_complete=completion.ids)
@format_option("table", "json")
@zone_options
def explain_job(job_id: str, shape: str, zone: tzinfo | None) -> None:
    """Explain why a job has not run yet: its state, when it is due, who could run it, and what to do."""
    zone = zone_or_app(zone)
    found = current_client().explain(job_id)
    job = found.job
    if shape == "json":
        facts = {"id": job.id, "task": job.task, "state": job.state.value, "run_at": iso(job.run_at, zone)}
        write_json(facts | {"facts": list(found.facts), "remedy": found.remedy})
        return
    echo(f"{job.id} {printable(job.task)}: {coloured(job.state.value)}, run at {exact(job.run_at, zone)}")
    for fact in found.facts:
        echo(f"  {printable(fact)}")
    if found.remedy:
        echo(f"What to do: {printable(found.remedy)}")

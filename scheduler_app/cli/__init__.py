"""`flask scheduler`: what a person or a script says to an app's scheduler from a terminal.

Data goes to stdout, notes and questions to stderr, and the exit code says how it went (`Exit`). A command parses, asks
the client for one verb, and shows the answer; it decides nothing itself. The commands are imported when the group is
first asked for one: a server has the group too, and never asks.
"""

from .exits import Exit
from .group import scheduler_commands

__all__ = ["Exit", "scheduler_commands"]

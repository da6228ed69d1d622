"""The client: every verb that a person or a program can say, for every door.

Views, the admin and the command line call the same `Client`; a handle and `@task` are thin dress over it. Everything
about a call is checked here, where it enters. No verb takes a lock of the loop or waits for it: each is one short
transaction, after which the loop is woken. A call may be part of the caller's own instead; then it is after that.
"""

from ..audit import Actor
from .adopting import Adopted, Fate
from .after import Holds
from .auditing import audited
from .binding import Misfit, Unbound
from .bulk import ACTIONS
from .calls import Calls
from .checking import Checked, UnknownTask
from .client import Client
from .current import AppScheduler, Authorize, Health, current_client, current_scheduler
from .declaration import Declaration, declaration_of
from .expecting import expecting
from .explain import Explanation
from .handle import JobHandle
from .listing import Page
from .many import Bulk
from .options import Options, make_options
from .queueing import QueueStatus
from .reach import Limits
from .recurring import Recurring
from .shown import Shown, shown_attempts, shown_job
from .task import TaskFunction
from .verbs import Verbs, using_with

__all__ = [
    "ACTIONS",
    "Actor",
    "Adopted",
    "AppScheduler",
    "Authorize",
    "Bulk",
    "Calls",
    "Checked",
    "Client",
    "Declaration",
    "Explanation",
    "Fate",
    "Health",
    "Holds",
    "JobHandle",
    "Limits",
    "Misfit",
    "Options",
    "Page",
    "QueueStatus",
    "Recurring",
    "Shown",
    "TaskFunction",
    "Unbound",
    "UnknownTask",
    "Verbs",
    "audited",
    "current_client",
    "current_scheduler",
    "declaration_of",
    "expecting",
    "make_options",
    "shown_attempts",
    "shown_job",
    "using_with",
]

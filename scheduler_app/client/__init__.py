"""The client: every verb that a person or a program can say, for every door.

Views, the admin and the command line call the same `Client`; a handle and `@task` are thin dress over it. Everything
about a call is checked here, where it enters. No verb takes a lock of the loop or waits for it: each is one short
transaction, after which the loop is woken.
"""

from .calls import Calls
from .client import Client, Limits
from .current import Actor, AppScheduler, Authorize, Health, current_client, current_scheduler
from .explain import Explanation
from .handle import JobHandle
from .options import Options, make_options
from .recurring import Declaration, Recurring
from .task import TaskFunction
from .verbs import Verbs, using_with

__all__ = [
    "Actor",
    "AppScheduler",
    "Authorize",
    "Calls",
    "Client",
    "Declaration",
    "Explanation",
    "Health",
    "JobHandle",
    "Limits",
    "Options",
    "Recurring",
    "TaskFunction",
    "Verbs",
    "current_client",
    "current_scheduler",
    "make_options",
    "using_with",
]

"""The store: six tables and the statements on them. The only truth, and the only folder that imports SQLAlchemy.

`Store` opens transactions on one database; the verbs are functions of a connection, one file per word:
`add`, `audit`, `claim`, `settle`, `give_back`, `change`, `when`, `cancelling`, `filtering`, `find`, `pending`,
`date_jobs`, `prune`, `queues`, `schedules`, `walking`, `workers`, `schema`, `examine`; `foreign` reads the table of
another scheduler. A verb that is guarded has its guard in its name (`settle_if_held`, `cancel_if_waiting`) and answers
whether it happened. Where databases differ, the verb asks the `Dialect`; no verb knows which database it is on.
Nothing here runs user code.
"""

from sqlalchemy import Connection

from ..conflict import OnConflict
from . import (
    add,
    audit,
    cancelling,
    change,
    claim,
    date_jobs,
    examine,
    filtering,
    find,
    foreign,
    give_back,
    pending,
    prune,
    queues,
    schedules,
    schema,
    settle,
    when,
    workers,
)
from .add import NewJob
from .claim import Claim, Range
from .committing import after_commit
from .date_jobs import DateJob
from .join import check_session, hiding_parameters
from .prune import Retention
from .settle import Settlement
from .store import Store, reason
from .tables import include_name

__all__ = [
    "Claim",
    "Connection",
    "DateJob",
    "NewJob",
    "OnConflict",
    "Range",
    "Retention",
    "Settlement",
    "Store",
    "add",
    "after_commit",
    "audit",
    "cancelling",
    "change",
    "check_session",
    "claim",
    "date_jobs",
    "examine",
    "filtering",
    "find",
    "foreign",
    "give_back",
    "hiding_parameters",
    "include_name",
    "pending",
    "prune",
    "queues",
    "reason",
    "schedules",
    "schema",
    "settle",
    "when",
    "workers",
]

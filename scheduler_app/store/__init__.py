"""The store: six tables and the statements on them. The only truth, and the only folder that imports SQLAlchemy.

`Store` opens transactions on one database; the verbs are functions of a connection, one file per word:
`add`, `claim`, `settle`, `give_back`, `change`, `find`, `schedules`, `workers`, `schema`. A verb that is
guarded has its guard in its name (`settle_if_held`, `cancel_if_waiting`) and answers whether it happened. Where
databases differ, the verb asks the `Dialect`; no verb knows which database it is on. Nothing here runs user code.
"""

from sqlalchemy import Connection

from . import add, change, claim, find, give_back, schedules, schema, settle, workers
from .add import NewJob, OnConflict
from .claim import Claim, Range
from .settle import Settlement
from .store import Store, reason
from .tables import include_name

__all__ = [
    "Claim",
    "Connection",
    "NewJob",
    "OnConflict",
    "Range",
    "Settlement",
    "Store",
    "add",
    "change",
    "claim",
    "find",
    "give_back",
    "include_name",
    "reason",
    "schedules",
    "schema",
    "settle",
    "workers",
]

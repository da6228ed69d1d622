"""Adoption: jobs that APScheduler pickled, read without believing them, and what becomes of them here.

`read_apart` hands the rows of a job table to a process of its own (`python -m scheduler_app.adoption`), which unpickles
them by `unpickler`, one by one, and answers in JSON: facts of a job (`Found`), or why there are none (`Unreadable`).
`plan` decides purely what a job becomes. Nothing here asks a database, and this process unpickles nothing.
"""

from scheduler_app.adoption.apart import read_apart
from scheduler_app.adoption.facts import Found, Unreadable
from scheduler_app.adoption.plan import Kind, Plan, plan_of

__all__ = ["Found", "Kind", "Plan", "Unreadable", "plan_of", "read_apart"]

"""What a transaction does to jobs, told from its SQL: so that lost acknowledgements can be counted by their kind."""

from __future__ import annotations

import re

_UPDATE = re.compile(r"\s*UPDATE scheduler_jobs(?:, \(.*?\) AS v)? SET (?P<set>.*?) (?:FROM|WHERE) ", re.DOTALL)


def kind_of(sql: str) -> str | None:
    """Return "schedule", "claim" or "settle", or None for everything else."""
    if "INSERT INTO scheduler_jobs " in sql:
        return "schedule"
    found = _UPDATE.match(sql)
    if found is None:
        return None
    if "result=" in found["set"]:
        return "settle"
    if "worker_id=" in found["set"] and "crashes=" not in found["set"]:
        return "claim"
    return None


_FENCE = re.compile(r"scheduler_jobs\.claim_seq = (?:%\(\w+\)s(?:::\w+)?|\?|[\w.]+)")


def unfenced(sql: str) -> str:
    """Return a write of job rows without its condition on the fence."""
    head, where, tail = sql.partition(" \nWHERE ") if " \nWHERE " in sql else sql.partition(" WHERE ")
    if not re.search(r"UPDATE scheduler_jobs\b", head) or not where:
        return sql
    return head + where + _FENCE.sub(lambda found: f"({found[0]} OR 1 = 1)", tail)

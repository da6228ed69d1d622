"""The process that unpickles: an order on its stdin, and on its stdout one line for each job, in their order.

It asks no database and makes no app. What it reads could keep it busy for ever, or fill the memory: the kernel ends it
at its limits, and `apart` after its time, and tells at which job that was.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from base64 import b64decode
from typing import Any

from scheduler_app.adoption.facts import line_of
from scheduler_app.adoption.pickles import Rules, read_pickle
from scheduler_app.tasks import ModuleRule

MOST_BYTES = 2_000_000_000
"""How much memory it may take; beyond it, Python raises MemoryError."""


def main() -> None:
    """Read what was ordered."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what an imported module prints is no answer
    order: dict[str, Any] = json.load(sys.stdin)
    _limit(resource.RLIMIT_CPU, order["seconds"])
    _limit(resource.RLIMIT_DATA, MOST_BYTES)
    modules = order["modules"]
    rule = ModuleRule(None if modules is None else tuple(modules))
    rules = Rules(rule.allows, order["max_payload_bytes"], order["main"])
    for job_id, at, pickled in order["rows"]:
        answers.write(line_of(read_pickle(job_id, at, b64decode(pickled), rules)))
        answers.flush()


def _limit(what: int, most: int) -> None:
    known = [limit for limit in resource.getrlimit(what) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(what, (min([most, *known]),) * 2)


if __name__ == "__main__":
    main()

"""What this package costs, beside its peer and beside the limit of the databases it stands on.

`python -m benchmarks drain|schedule|lateness|flood|claim|memory|connections --store sqlite|postgresql`. In one
invocation, ours, the peer's (stock APScheduler) and the bare limit (SQLAlchemy Core without this package) take turns,
each in a process and on a database of its own; figures are medians, ratios are medians of each round's ratio. See
`README.md`.
"""

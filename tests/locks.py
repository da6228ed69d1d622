"""Which processes hold a lock on a file, as the system knows them."""

from __future__ import annotations

from pathlib import Path

LOCKS = Path("/proc/locks")
"""Where Linux shows them."""


def pids_with_locks_on(file: Path) -> set[int]:
    """Return the processes that hold one; a SQLite file in WAL mode is locked by whoever has it open."""
    rows = [line.split() for line in LOCKS.read_text().splitlines() if "->" not in line]
    return {int(row[4]) for row in rows if int(row[5].rpartition(":")[2]) == file.stat().st_ino}

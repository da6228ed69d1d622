"""The history by which these tests judge: files that every process appends to and syncs, never the database.

One file per process, one JSON object per line. `at` is the machine's monotonic clock, which all processes of one
boot share; a line is on the disk before whoever wrote it goes on.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

Line = dict[str, Any]


class Journal:
    """One process's file of the history."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self._file = os.open(folder / f"{name}.jsonl", os.O_APPEND | os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644)

    def write(self, kind: str, *, sync: bool = True, **facts: Any) -> None:
        """Append a line in one write, and have it on the disk when this returns."""
        line = {"kind": kind, "at": time.monotonic(), "pid": os.getpid(), **facts}
        os.write(self._file, json.dumps(line).encode() + b"\n")
        if sync:
            os.fsync(self._file)


def read(folder: Path) -> list[Line]:
    """Return every line of every process, in the order of time."""
    lines = [json.loads(text) for file in folder.glob("*.jsonl") for text in file.read_text().splitlines()]
    return sorted(lines, key=lambda line: float(line["at"]))


def of_kind(folder: Path, kind: str) -> list[Line]:
    """Return the lines of one kind."""
    return [line for line in read(folder) if line["kind"] == kind]

"""This process as a worker: who it is, whether its lease holds, and whether another one is dead for certain."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ..clock import lasting
from ..jobs import new_id
from ..store.workers import WorkerRow


@dataclass(frozen=True, slots=True)
class Process:
    """A process as the kernel names it for good: a pid alone is used again."""

    host: str
    pid: int
    boot_id: str | None
    pid_namespace: str | None
    pid_started: int | None


def this_process() -> Process:
    """Return the calling process."""
    return Process(socket.gethostname(), os.getpid(), _boot_id(), _pid_namespace(), _started(os.getpid()))


def _boot_id() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _pid_namespace() -> str | None:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat after the command's name, or None when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _started(pid: int) -> int | None:
    fields = _stat(pid) if Path("/proc/self/stat").exists() else None
    return int(fields[19]) if fields else None


def is_gone(row: WorkerRow, here: Process) -> bool:
    """Whether a worker of this very host and boot has certainly ended: no such pid, a zombie, or another's pid.

    False whenever that cannot be known from here; then only its lease tells.
    """
    same_place = (row.boot_id, row.pid_namespace) == (here.boot_id, here.pid_namespace)
    if not same_place or None in (here.boot_id, here.pid_namespace, row.pid_started):
        return False
    try:
        fields = _stat(row.pid)
    except PermissionError:
        return False
    if fields is None:
        return not _may_exist(row.pid)
    return fields[0] in ("Z", "X") or int(fields[19]) != row.pid_started


def _may_exist(pid: int) -> bool:
    """Ask the kernel itself: /proc may be mounted so that it hides the processes of other users (hidepid)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@dataclass(slots=True)
class Worker:
    """This process's worker row, and the lease that its heartbeat renews."""

    lease_seconds: float
    queues: tuple[str, ...] | None = None
    executors: dict[str, int] = field(default_factory=dict)
    key_ids: tuple[str, ...] = ()
    package_version: str = ""
    id: str = ""
    registered: bool = False
    renewed_at: float = float("-inf")
    """When the last renewal that is known to be stored was begun, on the clock that goes on while the host sleeps."""

    def may_start(self) -> bool:
        """Whether work may start: the lease was renewed within half its length."""
        return lasting() - self.renewed_at < self.lease_seconds / 2

    def be_reborn(self, now: datetime) -> None:
        """Take a new id: the old one was declared dead, or this is a new process."""
        self.id, self.registered = new_id(now), False

    @staticmethod
    def tasks_text(names: Iterable[str]) -> str:
        """Return the task names as the row holds them."""
        return json.dumps(sorted(names))

    def row(self, now: datetime, tasks: Iterable[str]) -> dict[str, Any]:
        """Return the row to store."""
        process = this_process()
        return {
            "id": self.id,
            "host": process.host,
            "pid": process.pid,
            "boot_id": process.boot_id,
            "pid_namespace": process.pid_namespace,
            "pid_started": process.pid_started,
            "beat": 0,
            "state": "running",
            "queues": None if self.queues is None else json.dumps(self.queues),
            "executors": json.dumps(self.executors),
            "tasks": self.tasks_text(tasks),
            "key_ids": json.dumps(self.key_ids),
            "started_at": now,
            "seen_at": now,
            "package_version": self.package_version,
        }

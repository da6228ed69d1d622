"""Where the file of an embedded database stands, and what reads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A SQLite file."""

    path: str
    exists: bool
    file_system: str
    """The type of its file system as the kernel names it; "" where it cannot tell."""
    is_network: bool
    version: str
    """SQLite's version."""
    is_too_old: bool
    may_lose_writes: bool
    """Whether this version can lose writes in WAL mode where connections write and checkpoint at once."""
    is_elected: bool
    """Whether the processes elect one connection that checkpoints, which binds all that use the file."""

"""The messages that have come: the demo's own file, so that they are there after a kill too."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

MOST_KEPT = 500
"""How many messages are kept; the file is cut back to the newest of them when it holds twice as many."""


@dataclass(frozen=True, slots=True)
class Message:
    """One reminder that has come. Instants are UTC, as in the REST API; `lateness_ms` is from due to arrival."""

    text: str
    job_id: str
    run_at: str
    arrived_at: str
    lateness_ms: float
    attempt: int


class MessageFile:
    """Messages, one a line, in a folder. Safe from any thread and process of this host."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "messages.jsonl"

    def add_if_absent(self, message: Message) -> bool:
        """Keep a message, synced when this returns; answer False, and change nothing, if this job's is kept already."""
        with self._locked():
            kept = self._read()
            if any(other.job_id == message.job_id for other in kept):
                return False
            if len(kept) >= 2 * MOST_KEPT:
                self._replace([*kept[1 - MOST_KEPT :], message])
            else:
                self._append(message)
        return True

    def latest(self, limit: int) -> list[Message]:
        """Return up to `limit` messages, the newest first."""
        return self._read()[::-1][:limit]

    def _read(self) -> list[Message]:
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        return [message for line in lines if (message := _message(line)) is not None]

    def _append(self, message: Message) -> None:
        file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(file).st_size
            torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"  # a full disk cut the last line short
            os.write(file, b"\n" * torn + _line(message))
            os.fsync(file)
        finally:
            os.close(file)
        if not size:
            self._sync_folder()

    def _replace(self, messages: list[Message]) -> None:
        draft = self._path.with_suffix(".new")
        with draft.open("wb") as file:
            file.write(b"".join(map(_line, messages)))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        self._sync_folder()

    def _sync_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "messages.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _line(message: Message) -> bytes:
    return json.dumps(asdict(message)).encode() + b"\n"


def _message(line: bytes) -> Message | None:
    """Return the message of a line, or None for one that was cut short."""
    try:
        return Message(**json.loads(line))
    except (ValueError, TypeError):
        return None

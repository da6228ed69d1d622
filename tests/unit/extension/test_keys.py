"""The key file beside an embedded database: made once and whole, or refused in words with nothing left behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scheduler_app.errors import KeyFileError, NoSigningKeyError
from scheduler_app.extension.keys import make_signer
from scheduler_app.settings import Settings


def test_it_is_made_once_for_its_owner_and_read_from_then_on(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'new' / 'jobs.sqlite3'}")
    first, second = make_signer(settings), make_signer(settings)
    assert first.key_ids == second.key_ids
    assert [(p.name, p.stat().st_mode & 0o777) for p in (tmp_path / "new").iterdir()] == [("jobs.sqlite3.key", 0o600)]


def test_a_disk_that_is_full_is_told_in_words_and_no_half_a_key_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(KeyFileError, match="No space left on device"):
        make_signer(Settings(database_url=f"sqlite:///{tmp_path / 'jobs.sqlite3'}"))
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_many_hosts_gets_no_key_file() -> None:
    with pytest.raises(NoSigningKeyError):
        make_signer(Settings(database_url="postgresql://h/d"))

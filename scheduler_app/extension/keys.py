"""Where the signing keys come from: the settings, the app's secret, or a file beside an embedded database."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from urllib.parse import unquote

from ..errors import KeyFileError, NoSigningKeyError
from ..payload import Signer, derive_key
from ..settings import Settings

KEY_BYTES = 32


def make_signer(settings: Settings) -> Signer:
    """Return the signer of an app.

    Without a configured key and without `SECRET_KEY`, a SQLite database gets a key file (mode 0600) beside
    it, made once; other databases are refused with `NoSigningKeyError`, because hosts could not share it.
    Raises `KeyFileError` where that file can be neither read nor made.
    """
    found = settings.signing_secrets
    if found:
        return Signer([derive_key(secret) for secret in found])
    if not settings.is_sqlite:
        raise NoSigningKeyError()
    return Signer([derive_key(_key_file_beside(_database_file(settings.database_url)))])


def _database_file(url: str) -> Path:
    return Path(unquote(url.split("///", 1)[1].split("?", 1)[0]))


def _key_file_beside(database: Path) -> bytes:
    """Return the key in the file, which one of several racing processes makes. Raises `KeyFileError`."""
    path = database.with_name(database.name + ".key")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make_once(path)
        return path.read_bytes()
    except OSError as error:
        raise KeyFileError(str(path), error.strerror or type(error).__name__) from error


def _make_once(path: Path) -> None:
    """Write a whole key under another name, then link it into place: whoever comes second finds the first one's."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        _fill(file)
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()


def _fill(file: int) -> None:
    try:
        os.write(file, secrets.token_hex(KEY_BYTES).encode())
        os.fsync(file)
    finally:
        os.close(file)

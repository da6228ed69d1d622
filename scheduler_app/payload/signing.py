"""Sign rows, so that what runs is what the app stored and nothing that someone else wrote into the table."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from enum import StrEnum

from scheduler_app.errors import SigningKeyError

SHORTEST_KEY = 16
"""Bytes; a shorter signing key could be guessed."""

_SIGNATURE = re.compile(r"v1:([0-9a-f]{8}):[0-9a-f]{64}", re.ASCII)


class Verdict(StrEnum):
    """What a signature says about the row it stands on."""

    VALID = "valid"
    FORGED = "forged"
    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown_key"


class _Mac:
    """HMAC-SHA256 under one key (RFC 2104), with the key's two blocks hashed once.

    `hmac.digest` hashes them at every call, and lets go of the interpreter's lock meanwhile, which ten
    threads that each verify a job then wait to get back.
    """

    def __init__(self, key: bytes) -> None:
        block = (key if len(key) <= 64 else hashlib.sha256(key).digest()).ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def of(self, parts: Sequence[str]) -> str:
        """Return the MAC of the parts, each framed by its length, so that none can slide into its neighbour."""
        framed = "".join([f"{len(part)}:{part}" for part in parts])
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(framed.encode("utf-8", "surrogatepass"))
        outer.update(inner.digest())
        return outer.hexdigest()


class Signer:
    """Signs with the first key and believes all of them, so that keys can be changed without losing jobs.

    Raises `SigningKeyError` when there is no key or one is shorter than 16 bytes.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise SigningKeyError("There is no signing key.")
        for key in keys:
            if len(key) < SHORTEST_KEY:
                raise SigningKeyError(f"A signing key of {len(key)} bytes is too short; it needs {SHORTEST_KEY}.")
        self._mac = _Mac(keys[0])
        self._prefix = f"v1:{key_id(keys[0])}:"
        self._known: dict[str, list[_Mac]] = {}
        for key in keys:
            self._known.setdefault(key_id(key), []).append(_Mac(key))

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of the keys that are believed."""
        return tuple(self._known)

    def sign(self, *parts: str) -> str:
        """Return "v1:<key id>:<hex of HMAC-SHA256>" over the parts, in their order; 76 ASCII characters."""
        return self._prefix + self._mac.of(parts)

    def is_current(self, signature: str, *parts: str) -> bool:
        """Whether the first key, which alone signs, signed exactly these parts: no other key is needed."""
        if not all(type(text) is str for text in (signature, *parts)):
            return False
        return hmac.compare_digest(self.sign(*parts).encode(), signature.encode("utf-8", "surrogatepass"))

    def verify(self, signature: str | None, *parts: str) -> Verdict:
        """Return whether one of the keys signed exactly these parts. Compares in constant time."""
        match = _SIGNATURE.fullmatch(signature) if type(signature) is str else None
        if match is None or signature is None:
            return Verdict.MALFORMED
        macs = self._known.get(match[1])
        if macs is None:
            return Verdict.UNKNOWN_KEY
        for mac in macs:
            if hmac.compare_digest(mac.of(parts), signature[12:]):
                return Verdict.VALID
        return Verdict.FORGED


def key_id(key: bytes) -> str:
    """Return the 8 hex digits by which a signature names its key without telling it."""
    return hashlib.sha256(key).hexdigest()[:8]


def derive_key(secret: str | bytes) -> bytes:
    """Return a 32-byte key that only this package uses, made from an app's secret by HKDF (RFC 5869).

    Raises `SigningKeyError` when the secret is empty.
    """
    material = secret.encode() if isinstance(secret, str) else secret
    if not material:
        raise SigningKeyError("An empty secret cannot sign.")
    extracted = hmac.digest(b"scheduler-app", material, "sha256")
    return hmac.digest(extracted, b"signatures of rows, v1\x01", "sha256")

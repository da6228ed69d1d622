"""A client on a raw socket: it sees each byte of a response, and by the kernel's clock when it came."""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass, field

SO_TIMESTAMPNS = 35
"""Linux: the kernel notes when data arrived, however late this process reads it."""

_LINGER_NOT = struct.pack("ii", 1, 0)


@dataclass
class Answer:
    """A response as far as it has come."""

    is_head: bool = False
    data: bytes = b""
    at: int = 0
    """When the last byte came, in nanoseconds since 1970."""
    is_ended: bool = False
    """Whether the other side has closed the connection."""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The status, once the head is there."""
        return int(self.data.split(b" ", 2)[1])

    def take(self, data: bytes, at: int) -> None:
        """Note what came; no bytes mean that the connection is closed."""
        self.data += data
        self.is_ended = not data
        self.at = at
        head, found, _ = self.data.partition(b"\r\n\r\n")
        if found and not self.headers:
            lines = [line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:]]
            self.headers = {name.lower(): value.strip().lower() for name, _, value in lines}

    @property
    def is_whole(self) -> bool:
        """Whether nothing more belongs to it."""
        _, found, body = self.data.partition(b"\r\n\r\n")
        if not found:
            return False
        if self.is_head or self.status in (204, 304):
            return True
        if "content-length" in self.headers:
            return len(body) >= int(self.headers["content-length"])
        if self.headers.get("transfer-encoding") == "chunked":
            return body.endswith(b"0\r\n\r\n")
        return self.is_ended

    @property
    def is_kept(self) -> bool:
        """Whether the connection may carry another request."""
        return not self.is_ended and self.headers.get("connection") != "close"


class Wire:
    """One connection to a server on this machine."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.answer = Answer()

    def send(self, path: str, method: str = "GET") -> None:
        """Send a request; its answer is `answer`, which nothing of has come yet."""
        self.answer = Answer(is_head=method == "HEAD")
        self._socket.sendall(f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())

    def read(self, seconds: float) -> bool:
        """Read for so long, or until the answer is whole or the connection closed; whether it is whole."""
        deadline = time.monotonic() + seconds
        while not self.answer.is_whole and not self.answer.is_ended:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                self.answer.take(*self._receive())
            except TimeoutError:
                return False
            except ConnectionResetError:
                self.answer.take(b"", time.time_ns())
        return self.answer.is_whole

    def _receive(self, most: int = 65536) -> tuple[bytes, int]:
        data, notes, _flags, _address = self._socket.recvmsg(most, 1024)
        times = [note for level, kind, note in notes if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS)]
        if not data or not times:
            return data, time.time_ns()
        seconds, nanoseconds = struct.unpack("qq", times[0][:16])
        return data, seconds * 1_000_000_000 + nanoseconds

    def read_some(self, seconds: float) -> None:
        """Read what comes first of an answer, and no more; or nothing, if nothing comes for so long."""
        self._socket.settimeout(seconds)
        try:
            self.answer.take(*self._receive(1000))
        except TimeoutError:
            pass

    def vanish(self) -> None:
        """Be gone, as a client that was killed in the middle of an answer: the server's next bytes meet a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self._socket.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

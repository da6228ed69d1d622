"""A TCP proxy before PostgreSQL that loses the reply to some COMMITs, or is away for a while.

It reads just enough of the protocol (https://www.postgresql.org/docs/current/protocol-message-formats.html) to know the
SQL of each transaction: simple queries, and statements that are parsed, perhaps under a name, and bound later.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import make_url

from .statements import kind_of

READY = b"Z\x00\x00\x00\x05"
"""How the message begins by which the server says that it has done all that was asked."""


class Proxy:
    """Passes bytes on, both ways, in a thread of its own."""

    def __init__(self, host: str, port: int) -> None:
        self._server_address = (host, port)
        self._loop = asyncio.new_event_loop()
        self._links: set[_Link] = set()
        self._away = False
        self.share = 0.0
        """How many of the commits that wrote jobs, or anything else, lose their reply."""
        self.lost: Counter[str] = Counter()
        """What was in the transactions whose reply was lost; "other" is heartbeats and the like."""
        self.port = 0

    async def serve(self) -> None:
        """Listen on a free port."""
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more, and end every link."""
        self._listener.close()
        links = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in links:
            task.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._away:
            writer.transport.abort()
            return
        try:
            theirs = await asyncio.open_connection(*self._server_address)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(self, (reader, writer), theirs)
        self._links.add(link)
        try:
            await link.carry()
        finally:
            self._links.discard(link)

    def go_away(self) -> None:
        """Cut every connection and accept none, until `come_back`."""
        self._away = True
        for link in tuple(self._links):
            self._loop.call_soon_threadsafe(link.cut)

    def come_back(self) -> None:
        """Accept connections again."""
        self._away = False

    def loses(self, kinds: set[str]) -> bool:
        """Decide whether the reply to a commit gets lost, and count it."""
        if random.random() >= self.share:
            return False
        self.lost.update(kinds or {"other"})
        return True


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Link:
    """One connection from a client to the server."""

    def __init__(self, proxy: Proxy, client: Stream, server: Stream) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._talk = _Talk()
        self._losing = False

    async def carry(self) -> None:
        """Pass on until one side ends or the link is cut."""
        ways = [asyncio.ensure_future(self._ask()), asyncio.ensure_future(self._reply())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.cut()

    async def _ask(self) -> None:
        reader, writer = self._client[0], self._server[1]
        while data := await _read(reader):
            if self._talk.ends_by_commit(data) and self._proxy.loses(self._talk.kinds):
                self._losing = True
            writer.write(data)

    async def _reply(self) -> None:
        reader, writer = self._server[0], self._client[1]
        while data := await _read(reader):
            if self._losing:
                while READY not in data and (more := await _read(reader)):
                    data += more
                return
            writer.write(data)

    def cut(self) -> None:
        """Close both sides at once, whatever is under way."""
        for _, writer in (self._client, self._server):
            writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(1 << 16)
    except OSError:
        return b""


class _Talk:
    """What a client says, message by message; and what its transaction has done so far."""

    def __init__(self) -> None:
        self._rest = b""
        self._started = False
        self._named: dict[bytes, str] = {}
        self.kinds: set[str] = set()

    def ends_by_commit(self, data: bytes) -> bool:
        """Take more of what the client says; True if the last of it is COMMIT."""
        self._rest += data
        committing = False
        for kind, body in self._messages():
            sql = self._sql(kind, body)
            if sql is None:
                continue
            if sql.startswith("BEGIN"):
                self.kinds = set()
            committing = sql == "COMMIT"
            if (what := kind_of(sql)) is not None:
                self.kinds.add(what)
        return committing

    def _messages(self) -> Iterator[tuple[bytes, bytes]]:
        while len(self._rest) >= 8:
            head = 1 if self._started else 0  # the very first message has no type
            length = int.from_bytes(self._rest[head : head + 4], "big") + head
            if len(self._rest) < length:
                return
            message, self._rest = self._rest[:length], self._rest[length:]
            if self._started:
                yield message[:1], message[5:]
            self._started = True

    def _sql(self, kind: bytes, body: bytes) -> str | None:
        if kind == b"Q":
            return body.rstrip(b"\x00").decode()
        if kind == b"P":
            name, sql, _ = body.split(b"\x00", 2)
            self._named[name] = sql.decode()
            return self._named[name]
        if kind == b"B":
            return self._named.get(body.split(b"\x00", 2)[1])
        return None


@contextmanager
def proxy_to(url: str) -> Iterator[tuple[Proxy, str]]:
    """Yield a proxy to a PostgreSQL database, and the URL of the database through it."""
    server = make_url(url)
    proxy = Proxy(server.host or "127.0.0.1", server.port or 5432)
    thread = threading.Thread(target=proxy._loop.run_forever, name="proxy", daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(proxy.serve(), proxy._loop).result(timeout=10)
    through = server.set(host="127.0.0.1", port=proxy.port).update_query_dict(
        {"sslmode": "disable", "gssencmode": "disable"}
    )
    try:
        yield proxy, through.render_as_string(hide_password=False)
    finally:
        asyncio.run_coroutine_threadsafe(proxy.stop(), proxy._loop).result(timeout=10)
        proxy._loop.call_soon_threadsafe(proxy._loop.stop)
        thread.join(timeout=10)
        proxy._loop.close()

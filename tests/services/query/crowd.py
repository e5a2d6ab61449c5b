"""Many readers at once, on raw connections: a client that costs less than what it measures."""

import asyncio
import resource
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from schemas.versions import Version
from tests.services.query.conftest import INCARNATION, TOPIC


@dataclass(frozen=True)
class Answer:
    """One response, and when its last byte was there, by the monotonic clock."""

    status: int
    headers: dict[str, str]
    body: bytes
    at: float


class Reader:
    """One keep-alive connection."""

    def __init__(self, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        self._reader, self._writer = streams

    def ask(self, path: str, **headers: str) -> None:
        """Send a GET; keyword arguments are headers, as `nenrin_at_least`."""
        lines = [f"GET /v1{path} HTTP/1.1", "Host: query"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self._writer.write("\r\n".join([*lines, "", ""]).encode())

    async def answer(self) -> Answer:
        """The next response. Raises `IncompleteReadError` when the connection ends without a whole one."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        named = (line.split(": ", 1) for line in lines)
        headers = {name.lower(): value for name, value in named}
        body = await self._body(headers)
        return Answer(int(first.split()[1]), headers, body, time.monotonic())

    async def _body(self, headers: dict[str, str]) -> bytes:
        if "content-length" in headers:
            return await self._reader.readexactly(int(headers["content-length"]))
        body = b""
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            body += await self._reader.readexactly(size)
            await self._reader.readexactly(2)
        await self._reader.readexactly(2)
        return body

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


@asynccontextmanager
async def readers(port: int, count: int) -> AsyncIterator[Sequence[Reader]]:
    """So many connections, closed at the end."""
    _allow_files(count + 512)
    opened = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(count)))
    found = [Reader(streams) for streams in opened]
    try:
        yield found
    finally:
        for reader in found:
            reader.close()


def _allow_files(wanted: int) -> None:
    begun, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= begun < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def token(offsets: dict[int, int]) -> str:
    """A token for these positions."""
    return Version({TOPIC: offsets}, {TOPIC: INCARNATION}).token()

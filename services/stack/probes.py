"""The smallest question to each kind of process that only a working one answers."""

import asyncio
import struct

ANSWER_WITHIN = 2.0


async def http_answers(port: int, path: str) -> bool:
    """True when `GET path` on this machine gives 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    return b" 200 " in await _first_bytes(port, request.encode(), 15)


async def kafka_answers(port: int) -> bool:
    """True when the broker answers ApiVersions, the request every client begins with."""
    client = b"nenrin"
    request = struct.pack(">hhih", 18, 0, 1, len(client)) + client
    answer = await _first_bytes(port, struct.pack(">i", len(request)) + request, 10)
    return answer[4:] == struct.pack(">ih", 1, 0)


async def postgres_answers(port: int) -> bool:
    """True when the server asks for a password: one that is still recovering answers with an error instead."""
    startup = b"user\0nenrin\0database\0nenrin\0\0"
    request = struct.pack(">ii", len(startup) + 8, 3 << 16) + startup
    return await _first_bytes(port, request, 1) == b"R"


async def _first_bytes(port: int, request: bytes, size: int) -> bytes:
    """What a local port answers first; nothing when it doesn't."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(request)
                return await reader.readexactly(size)
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return b""

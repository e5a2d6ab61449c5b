"""A query service on a database full of passages, and a client that costs next to nothing."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import msgspec
import numpy as np

from benchmarks.passages import COLLECTION, database, fill, likenesses, texts
from services.stack.supervisor import Stack

PASSAGES = 30_000
SEARCH = f"/v1/collections/{COLLECTION}/search"
K = 10
START_WITHIN = 120.0


class Service(msgspec.Struct, frozen=True):
    """Where it listens, and the database that it reads."""

    dsn: str
    port: int


@asynccontextmanager
async def serving(stack: Stack) -> AsyncIterator[Service]:
    """A query service of its own, on `PASSAGES` passages in a database of its own in the stack's Postgres."""
    async with database(stack.endpoints["postgres"], "search_benchmark") as dsn:
        await fill(dsn, texts(PASSAGES), likenesses(PASSAGES, 1))
        with _process(dsn) as port:
            yield Service(dsn, port)


@contextmanager
def _process(dsn: str) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    settings = {"NENRIN_POSTGRES": dsn, "NENRIN_PORT": str(port)}
    process = subprocess.Popen((sys.executable, "-P", "-m", "nenrin", "query"), env=os.environ | settings)
    try:
        _wait_until_loaded(process, port)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _wait_until_loaded(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Until the encoder is there too: it would take time from the searches while it loads."""
    deadline = time.monotonic() + START_WITHIN
    while True:
        try:
            Http(port).post(SEARCH, b'{"query": "warm"}')
            return
        except (OSError, RuntimeError):
            if time.monotonic() > deadline or process.poll() is not None:
                raise
            time.sleep(0.2)


class Http:
    """A client that costs next to nothing, so that the service is what is measured."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, path: str, body: bytes) -> bytes:
        """The body of the answer, which has to be a 200."""
        head = f"POST {path} HTTP/1.1\r\nHost: query\r\nContent-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._socket.recv(65536)
        answered, _, content = received.partition(b"\r\n\r\n")
        if b" 200 " not in answered.partition(b"\r\n")[0]:
            raise RuntimeError(received.decode(errors="replace"))
        length = int(answered.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(content) < length:
            content += self._socket.recv(65536)
        return content


def by_vector(vector: bytes) -> bytes:
    """The body of a search by a vector."""
    numbers = np.frombuffer(vector, dtype="<f2").astype(np.float64).round(6).tolist()
    return msgspec.json.encode({"vector": numbers, "k": K})


def by_words(question: str) -> bytes:
    """The body of a hybrid search."""
    return msgspec.json.encode({"query": question, "mode": "hybrid", "k": K})

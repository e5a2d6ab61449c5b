"""One of several processes that fold a log: `-m services.replay.worker FD`, a socket to the process that writes.

It ends with that process, whatever ends it: the socket's end is noticed while it folds, too. What it puts aside lies in
files without a name, so nothing is left of it.
"""

import asyncio
import gc
import os
import socket
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import msgspec

from eventlog.connection import KafkaSettings
from projections.generations.tables import row_tables
from projections.parking import Standing
from projections.port import Entry, ReadModel
from projections.positions import Position
from services.replay.folding import Folding
from services.replay.narrowing import Narrowing
from services.replay.passing import receive, send
from services.replay.reading import Stretch

Read = Callable[..., AsyncGenerator[list[Entry]]]


class Task(msgspec.Struct, frozen=True):
    """What all of them are told first: how to read (`reading.entries`), what, and into segments of which length."""

    read: Read
    kafka: KafkaSettings
    stretch: Stretch
    until: Mapping[int, int] | None
    model: ReadModel
    schema: str
    dimensions: int | None
    limit: int


class Part(msgspec.Struct, frozen=True):
    """A partition to be folded: from `at` on; nothing is written yet where that is `begin`."""

    partition: int
    begin: Position
    at: Position
    standing: Standing


class Reached(msgspec.Struct, frozen=True):
    """How far a partition is folded."""

    partition: int
    position: Position


class Done(msgspec.Struct, frozen=True):
    """All of a partition was handed over."""


class Failed(msgspec.Struct, frozen=True):
    """The worker gives up: `reason`. Whoever folds the same in the process that writes finds it there."""

    reason: str


def main() -> None:
    """Work until the other side has gone."""
    gc.freeze()
    gc.disable()  # as in any load; looked for after each segment
    asyncio.run(_work(socket.socket(fileno=int(sys.argv[1]))))


async def _work(channel: socket.socket) -> None:
    inbox = asyncio.Queue[Any]()
    listening = threading.Thread(target=_listen, args=(channel, asyncio.get_running_loop(), inbox), daemon=True)
    listening.start()
    try:
        task = await inbox.get()
        while True:
            await _fold(channel, inbox, task, await inbox.get())
            send(channel, Done())
    except Exception as error:
        send(channel, Failed(f"{type(error).__name__}: {error}"))


def _listen(channel: socket.socket, loop: asyncio.AbstractEventLoop, inbox: asyncio.Queue[Any]) -> None:
    while True:
        try:
            message = receive(channel)
        except (EOFError, OSError):
            os._exit(0)
        loop.call_soon_threadsafe(inbox.put_nowait, message)


async def _fold(channel: socket.socket, inbox: asyncio.Queue[Any], task: Task, part: Part) -> None:
    """Hand a partition over, segment by segment; each next one is begun when the one before begins to be written."""
    partition, starts = part.partition, {part.partition: part.at}
    tables = row_tables(task.model, task.schema, task.dimensions)
    standings, narrowing = {partition: part.standing}, Narrowing(task.limit)
    folding = Folding(task.model, tables, {partition: part.begin}, starts, standings, narrowing)

    async def batches() -> AsyncGenerator[list[Entry]]:
        async with aclosing(task.read(task.kafka, task.stretch, starts, task.until)) as found:
            async for batch in found:
                yield batch
                send(channel, Reached(partition, folding.positions[partition]))

    async with aclosing(batches()) as read, aclosing(folding.segments(read)) as segments:
        async for segment in segments:
            send(channel, segment)
            segment.close()
            del segment
            gc.collect()
            await inbox.get()


if __name__ == "__main__":
    main()

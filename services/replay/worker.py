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
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from projections.generations.tables import row_tables
from projections.port import Entry
from services.replay.folding import Folding
from services.replay.narrowing import Narrowing
from services.replay.orders import Done, Failed, Part, Reached, Task
from services.replay.passing import receive, send


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
        task = await _next(inbox)
        while True:
            await _fold(channel, inbox, task, await _next(inbox))
            send(channel, Done())
    except Exception as error:
        send(channel, Failed(f"{type(error).__name__}: {error}"))


async def _next(inbox: asyncio.Queue[Any]) -> Any:
    if isinstance(message := await inbox.get(), Exception):
        raise message  # it can't be read here
    return message


def _listen(channel: socket.socket, loop: asyncio.AbstractEventLoop, inbox: asyncio.Queue[Any]) -> None:
    while True:
        try:
            message = receive(channel)
        except (EOFError, OSError):
            os._exit(0)
        except Exception as error:
            message = error
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
            await _next(inbox)
            segment.close()  # not before: macOS loses files that are closed while they are on their way
            del segment
            gc.collect()


if __name__ == "__main__":
    main()

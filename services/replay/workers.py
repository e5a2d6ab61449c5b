"""Folding the log in several processes, one for each core: the partitions are handed out, the largest first.

Only what is regular is done here. Whatever else comes up ends all of them with `Stopped`, and who asked folds what is
not written yet by itself: there it is found again, alone, and dealt with.
"""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from projections.positions import Position
from services.replay.orders import Done, Failed, Part, Reached, Task
from services.replay.passing import receive, send
from services.replay.segments import Finished

LITTLE = 10_000
"""Records of the log that are folded sooner than a worker has started, which takes about half a second."""
MOST = 4
"""Postgres takes the rows of no more than so many."""


class Stopped(Exception):
    """They can't go on, and have ended; what was written is whole."""


def number_of(partitions: int, records: int) -> int:
    """How many workers it takes to fold so many partitions, which have so many records; 0: none."""
    number = min(partitions, _cores(), MOST)
    return number if number > 1 and records >= LITTLE else 0


def _cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Worker:
    """A process, and the socket to it."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    def tell(self, message: Any) -> None:
        """Raises `Stopped`."""
        try:
            send(self._channel, message)
        except OSError as error:
            raise Stopped(f"a worker has gone: {error}") from error

    async def hear(self) -> Any:
        """Raises `Stopped`."""
        try:
            message = await asyncio.to_thread(receive, self._channel)
        except Exception as error:  # it has gone, or sends what can't be read
            raise Stopped(f"a worker is not heard any more: {error!r}") from error
        if isinstance(message, Failed):
            raise Stopped(message.reason)
        return message


@asynccontextmanager
async def _worker(task: Task) -> AsyncIterator[_Worker]:
    """Start one, and have it end. Raises `Stopped`."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = await _start(theirs)
        try:
            worker = _Worker(ours)
            worker.tell(task)
            yield worker
        finally:
            if process.returncode is None:
                process.kill()
            with suppress(OSError):
                ours.shutdown(socket.SHUT_RDWR)  # wakes who waits for a message
            await process.wait()


async def _start(channel: socket.socket) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "services.replay.worker", str(channel.fileno())),
            pass_fds=[channel.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},  # it finds what we find
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C on the terminal is ours to handle
        )
    except OSError as error:
        raise Stopped(f"a worker can't be started: {error}") from error


class Workers:
    """Folds `parts`, while there is `room` for what they park. `reached` is called with how far a partition is."""

    def __init__(self, task: Task, parts: Sequence[Part], room: int, reached: Callable[[int, Position], None]) -> None:
        self._task = task
        self._parts = list(reversed(parts))
        self._room = room
        self._reached = reached
        self._ready = asyncio.Queue[tuple[_Worker, Finished] | Stopped | None]()

    async def segments(self, number: int) -> AsyncGenerator[Finished]:
        """The finished segments, those of a partition in order; who gets one closes it. Raises `Stopped`.

        What is asked for next is taken to mean that the one before begins to be written: a worker waits for that.
        """
        async with AsyncExitStack() as stack:
            workers = [await stack.enter_async_context(_worker(self._task)) for _ in range(number)]
            leading = [asyncio.create_task(self._lead(each)) for each in workers]
            try:
                while number:
                    match await self._ready.get():
                        case None:
                            number -= 1
                        case Stopped() as stopped:
                            raise stopped
                        case worker, segment:
                            self._take(segment)
                            yield segment
                            worker.tell(None)
            finally:
                for each in leading:
                    each.cancel()
                self._drop()

    async def _lead(self, worker: _Worker) -> None:
        try:
            while self._parts:
                await self._lead_through(worker, self._parts.pop())
        except Stopped as stopped:
            self._ready.put_nowait(stopped)
        else:
            self._ready.put_nowait(None)

    async def _lead_through(self, worker: _Worker, part: Part) -> None:
        worker.tell(part)
        while True:
            match await worker.hear():
                case Reached(partition, position):
                    self._reached(partition, position)
                case Finished() as segment:
                    self._ready.put_nowait((worker, segment))
                case Done():
                    return

    def _take(self, segment: Finished) -> None:
        """Each worker knows of the room that there was; what others have parked since, only we do.

        What heals makes room again only for who goes through it in order.
        """
        parked = sum(row.skipped_at is None for settled in segment.parked for row in settled.rows)
        if parked > self._room:
            segment.close()
            raise Stopped("there may be no room for what is to be parked")
        self._room -= parked

    def _drop(self) -> None:
        """Let go of what nobody will write."""
        while not self._ready.empty():
            if isinstance(found := self._ready.get_nowait(), tuple):
                found[1].close()

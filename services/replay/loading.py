"""Loading a generation in bulk: from the log, as it lies there, to rows that can be read."""

import asyncio
import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import asyncpg
import msgspec

from projections.generations.loading import Stage
from services.replay.filling import Filling, Job
from services.replay.progress import Phase, Progress


class Loaded(msgspec.Struct, frozen=True):
    """How many records of the log were gone through, in earlier runs too, and the seconds of each phase of this one.

    `events` is 0 where an earlier run had gone through all of them.
    """

    events: int
    seconds: Mapping[Phase, float]


async def load(connection: asyncpg.Connection, job: Job, progress: Progress) -> Loaded:
    """Bring a generation from whatever stage it is at to `Stage.LOADED`.

    `connection` is that which holds it (`holding`): it writes, and when it ends nothing is written any more. Can be
    called again after whatever ended it, on a new connection and with a new stretch: it goes on where it stopped.
    Raises `DatabaseAway`, `LogAway`, `TooManyParked`, `Fenced`, `Gap`, `GenerationMissing`, `OtherIncarnation`,
    `PositionLost`, `UndecodableRecord`.
    """
    clock = asyncio.get_running_loop().time
    seconds = dict[Phase, float]()
    events, loading = 0, job.loading
    if await loading.stage(connection) is Stage.ROWS:
        began = clock()
        with _uncollected():
            events = await Filling(connection, job, progress).run()
        seconds[Phase.LOADING] = clock() - began
        progress.show(Phase.LOGGING)
        await loading.finish(connection)
        seconds[Phase.LOGGING] = clock() - began - seconds[Phase.LOADING]
    if await loading.stage(connection) is Stage.INDEXES:
        began = clock()
        progress.show(Phase.INDEXING)
        await loading.build_indexes(connection)
        await loading.mark_loaded(connection)
        seconds[Phase.INDEXING] = clock() - began
    return Loaded(events, seconds)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Have nobody look for cycles: among millions of small objects that live for a moment, that takes half the time.

    Those that there are, a few for each fetch, are found where a segment has been written (`Filling`).
    """
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()

"""Waiting for the embedder: passages can be built up to where their derived topic covers the source, and no further."""

import asyncio
from collections.abc import Mapping

from eventlog.connection import KafkaSettings
from schemas.errors import NenrinError
from schemas.topics import DOCUMENTS, derived
from services.covering import Standstill, reached
from services.replay.progress import Phase, Progress

LOOK_EVERY = 0.5
STUCK_AFTER = 30.0
"""Seconds in which an embedder appends something, while it has something to embed."""


class Uncovered(NenrinError):
    """What is to be built needs vectors that nobody makes."""


async def covered(kafka: KafkaSettings, encoder: str, ends: Mapping[int, int], progress: Progress) -> None:
    """Return once the derived topic covers the source up to `ends`. Raises `Uncovered`, `LogAway`."""
    embedder, began = Standstill(), -1
    while missing := _missing(there := await reached(kafka, encoder, ends), ends):
        done = sum(there.values())
        began = done if began < 0 else began
        progress.show(Phase.COVERING, done - began, done - began + sum(missing.values()))
        if embedder.seconds(done) > STUCK_AFTER:
            raise Uncovered(_nobody(encoder, there, ends, missing))
        await asyncio.sleep(LOOK_EVERY)


def _missing(there: Mapping[int, int], ends: Mapping[int, int]) -> dict[int, int]:
    return {partition: end - there[partition] for partition, end in ends.items() if end > there[partition]}


def _nobody(encoder: str, there: Mapping[int, int], ends: Mapping[int, int], missing: Mapping[int, int]) -> str:
    first = min(missing)
    return (
        f"{derived(encoder)} covers {DOCUMENTS}/{first} up to offset {there[first]}, and {ends[first]} is needed "
        f"({sum(missing.values()):,} offsets in {len(missing)} partitions), but nothing was appended for "
        f"{STUCK_AFTER:g} s: is an embedder running that embeds with it? `nenrin status` and `nenrin doctor` tell"
    )

"""Looking after what was claimed: whether it still is what it was, and whether it is time to claim again."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from eventlog.app import App, begin_again
from eventlog.incarnations import Incarnations
from schemas.errors import LogAway

LOOK_EVERY = 1.0
"""Seconds between two looks."""
CLAIM_AGAIN_AFTER = 30.0
"""Seconds from one claim to the next while what was read can't be gone on with: that may have been mended."""
FROZEN_FOR = 5.0
"""Seconds from one look to the next, Kafka's late answer included, after which the process has stood still: its
partitions may be another's by now, and a claim would take them back before the group could say so."""


async def watch(app: App, incarnations: Incarnations, due: Callable[[], bool]) -> None:
    """Claim again whenever that is `due`, for ever.

    Raises `OtherIncarnation`, `TopicMismatch` as soon as a topic is another than it was when it was claimed: who begins
    anew finds what there is then. Kafka may be away meanwhile.
    """
    looked_at = time.monotonic()
    while True:
        await asyncio.sleep(LOOK_EVERY)
        with suppress(LogAway):
            await incarnations.compare()
        before, looked_at = looked_at, time.monotonic()
        if due() and looked_at - before < FROZEN_FOR:
            await begin_again(app)

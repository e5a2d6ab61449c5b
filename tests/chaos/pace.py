"""How actors wait: for a while, or until the run ends."""

import asyncio
from contextlib import suppress


class Ending(asyncio.Event):
    """Set when no more is to be begun."""

    async def pause(self, seconds: float) -> None:
        """An actor's pace; ends early with the run."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.wait(), max(0.0, seconds))

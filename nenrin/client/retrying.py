"""Trying again: only what is safe to repeat, only where trying again can help, and not for ever."""

import random
import time
from typing import Any

from nenrin.client.calls import Call
from nenrin.client.errors import Unavailable, Unreachable

FIRST = 0.1
LONGEST = 2.0
"""Seconds between tries where the service names no other: they double from the first to the longest, with jitter."""

TROUBLE = (Unreachable, Unavailable)
"""What may pass. A refusal (4xx) stays one, and an answer that is no answer of ours too."""


class Patience:
    """How long to wait before a call is sent again, as long as `seconds` have not passed since it first was."""

    def __init__(self, call: Call[Any], seconds: float) -> None:
        self._deadline = time.monotonic() + (seconds if call.repeatable else 0)
        self._usual = FIRST

    def after(self, error: Unreachable | Unavailable) -> float:
        """Seconds to wait for another try. Raises the error again when there is none."""
        asked = error.retry_after if isinstance(error, Unavailable) else None
        pause = self._usual + random.uniform(0, FIRST) if asked is None else asked
        if time.monotonic() + pause > self._deadline:
            raise error
        self._usual = min(2 * self._usual, LONGEST)
        return pause

"""What a replay tells, with the time that each phase took."""

import time

from services.replay.progress import Phase, Progress


class Timed:
    """Hands everything on; knows how long each phase has lasted, and whether anything moves."""

    def __init__(self, progress: Progress) -> None:
        self.steps = 0
        """How often a phase came further than ever: what is done again, and fails again, is no step."""
        self._progress = progress
        self._phase: Phase | None = None
        self._furthest: dict[Phase, int] = {}
        self._since = 0.0
        self._seconds: dict[str, float] = {}

    def say(self, line: str) -> None:
        """Hand a line on."""
        self._progress.say(line)

    def show(self, phase: Phase, done: int = 0, total: int | None = None) -> None:
        """Hand it on, and remember it."""
        if done > self._furthest.get(phase, -1):
            self._furthest[phase] = done
            self.steps += 1
        if phase is not self._phase:
            self._end()
            self._phase, self._since = phase, time.monotonic()
        self._progress.show(phase, done, total)

    def seconds(self) -> dict[str, float]:
        """How long each phase has lasted so far, in order; milliseconds are told."""
        self._end()
        return {name: round(lasted, 3) for name, lasted in self._seconds.items()}

    def _end(self) -> None:
        if self._phase is not None:
            name, now = self._phase.name.lower(), time.monotonic()
            self._seconds[name] = self._seconds.get(name, 0.0) + now - self._since
            self._since = now

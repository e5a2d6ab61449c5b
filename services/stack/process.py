"""One supervised process: started, asked whether it answers, restarted when it dies, ended on request."""

import asyncio
import contextlib
import io
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import psutil

from services.stack.errors import StartFailed
from services.stack.program import Program
from services.stack.record import Recorded, ask, recorded

ASK_EVERY = 0.1
LOG_LIMIT = 20 * 1024 * 1024
GIVE_UP_AFTER = 5  # deaths before the first answer


class State(StrEnum):
    """Where a process is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting to restart"
    STOPPED = "stopped"
    FAILED = "failed"


class Backoff:
    """How long to wait before a restart: not at all at first, then longer and longer, up to five seconds."""

    def __init__(self) -> None:
        self._next = 0.0

    def after(self, alive: float) -> float:
        """The wait after a life of so many seconds; a long one is forgiven."""
        if alive > 30:
            self._next = 0.0
        wait, self._next = self._next, min(5.0, max(0.25, self._next * 2))
        return wait


class Process:
    """Keeps one program running until it is told to stop.

    `pid` is that of the latest start, and None when the process is stopped on purpose; `ending` says how the start
    before it ended, and `trouble` what keeps it from working, where the supervisor knows of something.
    """

    def __init__(self, program: Program, log: Path, changed: Callable[["Process"], None]) -> None:
        self.program = program
        self.log = log
        self.state = State.STOPPED
        self.pid: int | None = None
        self.restarts = 0
        self.ending = ""
        self.trouble = ""
        self.identity: Recorded | None = None
        self._changed = changed
        self._answered = asyncio.Event()
        self._at_once = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._child: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start, and return when it answers."""
        self.begin()
        await self.answered()

    def begin(self) -> None:
        """Start, and wait for nothing."""
        if self._keeper is None or self._keeper.done():
            self._answered.clear()
            self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.program.name}")

    async def answered(self) -> None:
        """Wait until it answers, now or after its restart; raise when it won't."""
        if self._keeper is None:
            raise StartFailed(f"{self.program.name} is stopped")
        waiting = asyncio.create_task(self._answered.wait())
        try:
            await asyncio.wait((waiting, self._keeper), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self._keeper.done():
            await self._keeper

    async def lasts(self) -> None:
        """Return only when it can't be kept running any more, by raising why."""
        if self._keeper is not None:
            await asyncio.shield(self._keeper)

    def begin_anew(self) -> None:
        """What kept it from starting is gone: kill what may hang, and start it without a wait. Not one that answers."""
        if self.state in {State.STARTING, State.WAITING}:
            self._at_once.set()
        if self.state is State.STARTING and self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                self._child.kill()

    async def stop(self) -> None:
        """End it: ask first, then kill it and whatever it started."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait((self._keeper,))
            self._keeper = None
        await self._end()
        self._become(State.STOPPED)

    async def _keep(self) -> None:
        clock = asyncio.get_running_loop().time
        backoff = Backoff()
        proved, deaths = False, 0
        while True:
            began = clock()
            self.ending = await self._life()
            proved, deaths = proved or self._answered.is_set(), deaths + 1
            self._answered.clear()
            if not proved and deaths >= GIVE_UP_AFTER:
                self._become(State.FAILED)
                raise StartFailed(f"{self.program.name} ends with {self.ending} at each start; {self.last_words()}")
            self.restarts += 1
            self._become(State.WAITING)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(backoff.after(clock() - began)):
                    await self._at_once.wait()
            self._at_once.clear()

    async def _life(self) -> str:
        """Run the program once; how it ended, or why it could not begin: for want of memory or of room on the disk."""
        try:
            child = await self._spawn()
        except OSError as error:
            return str(error)
        ending = _ending(await self._live(child))
        _kill_group(child.pid)
        return ending

    async def _spawn(self) -> asyncio.subprocess.Process:
        await asyncio.to_thread(self.program.before_start)
        with self._open_log() as log:
            self._child = child = await asyncio.create_subprocess_exec(
                *self.program.launch(os.getpid()),
                env=dict(self.program.environment),
                cwd=self.program.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C on the terminal is the supervisor's to handle
            )
            with contextlib.suppress(OSError):
                log.write(f"--- {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: started as process {child.pid}\n".encode())
        self.pid, self.identity = child.pid, recorded(child.pid, self.program.stop_signal)
        self._become(State.STARTING)
        return child

    async def _live(self, child: asyncio.subprocess.Process) -> int:
        asking = asyncio.create_task(self._ask())
        try:
            return await child.wait()
        finally:
            asking.cancel()

    async def _ask(self) -> None:
        while not await self.program.answers():  # noqa: ASYNC110 - another process can't set an event of ours
            await asyncio.sleep(ASK_EVERY)
        self._answered.set()
        self._become(State.RUNNING)

    async def _end(self) -> None:
        child, self._child, self.pid, self.identity = self._child, None, None, None
        if child is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            ask(psutil.Process(child.pid), self.program.stop_signal)
        try:
            async with asyncio.timeout(self.program.stop_patience):
                await child.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
        _kill_group(child.pid)
        await asyncio.to_thread(self.program.after_end)

    def _become(self, state: State) -> None:
        self.state = state
        self._changed(self)

    def _open_log(self) -> io.FileIO:
        """The log, to write to; where it can't be had, nothing is kept, for a process is worth more than its log."""
        with contextlib.suppress(OSError):
            self.log.parent.mkdir(parents=True, exist_ok=True)
            if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
                self.log.replace(self.log.with_suffix(".log.1"))
            return self.log.open("ab", buffering=0)
        return Path(os.devnull).open("ab", buffering=0)

    def last_words(self) -> str:
        """The end of its log, for whoever has to find out why."""
        if not self.log.exists():
            return f"there is no {self.log}"
        lines = self.log.read_text(errors="replace").splitlines()[-15:]
        return "\n  ".join((f"the end of {self.log}:", *lines))


def _kill_group(leader: int) -> None:
    """Kill what a process that is gone had started and not ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _ending(code: int) -> str:
    return f"status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"

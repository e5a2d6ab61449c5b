"""Faults as they are done to a running stack, and what is put right again at the end."""

import asyncio
import contextlib
import math
import signal
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import psutil

from tests.chaos.pace import Ending
from tests.chaos.plan import SERVICES, Fault, Kind
from tests.chaos.stack import Stack

DROP = """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"""
DROP_WITHIN = 3.0
PROGRESS_WITHIN = 20.0


@dataclass(frozen=True)
class Inflicted:
    """A fault, when it was done in seconds after the start, and how that went."""

    at: float
    fault: Fault
    outcome: str
    happened: bool = True

    def __str__(self) -> str:
        return f"{self.at:7.1f} s  {self.fault}: {self.outcome}"


class Missed(Exception):
    """A fault found nothing to be done to."""


class Faults:
    """Does what a plan says, and prints it."""

    def __init__(self, stack: Stack, planned: Sequence[Fault], progressed: Callable[[], Sequence[int]]) -> None:
        """`progressed` tells how many versions of each projection readers have seen."""
        self.planned = planned
        self.inflicted: list[Inflicted] = []
        self.whole_since = time.monotonic()
        """When the stack was last started or restarted as a whole; in the future, while it is."""
        self._stack = stack
        self._progressed = progressed
        self._seen = progressed()
        self._thaws: set[asyncio.Task[None]] = set()

    async def run(self, ending: Ending) -> None:
        """All faults, each at its time; one that takes long puts off those behind it."""
        began, late = time.monotonic(), 0.0
        for fault in self.planned:
            await ending.pause(began + fault.at + late - time.monotonic())
            due = time.monotonic()
            if fault.awaits_progress:
                await self._progress(ending)
            if ending.is_set():
                return
            at = time.monotonic()
            try:
                done = Inflicted(round(at - began, 1), fault, await self._inflict(fault))
            except Missed as missed:
                done = Inflicted(round(at - began, 1), fault, str(missed), happened=False)
            self.inflicted.append(done)
            print(done, flush=True)
            self._seen = self._progressed()
            late += time.monotonic() - due

    async def _progress(self, ending: Ending) -> None:
        """Until readers have seen more of each projection than at the last fault, or it has had its time."""
        deadline = time.monotonic() + PROGRESS_WITHIN
        while not ending.is_set() and time.monotonic() < deadline:
            if all(now > before for now, before in zip(self._progressed(), self._seen, strict=True)):
                return
            await ending.pause(0.1)

    async def heal(self) -> None:
        """Return when nothing is frozen any more."""
        if self._thaws:
            await asyncio.wait(self._thaws)

    async def _inflict(self, fault: Fault) -> str:
        """Do it, and say to what. Raises Missed."""
        done: dict[Kind, Callable[[], Coroutine[Any, Any, str]]] = {
            Kind.KILL: lambda: self._kill(fault),
            Kind.FREEZE: lambda: self._freeze(fault),
            Kind.DISCONNECT: self._disconnect,
            Kind.SCALE_UP: lambda: self._scale_up(fault),
            Kind.SCALE_DOWN: self._scale_down,
            Kind.RESTART: lambda: self._again(fault, self._stack.stop),
            Kind.SUPERVISOR: lambda: self._again(fault, self._stack.kill),
        }
        return await done[fault.kind]()

    async def _kill(self, fault: Fault) -> str:
        target = self._target(fault)
        _sent(target, signal.SIGKILL)
        return f"pid {target.pid}"

    async def _freeze(self, fault: Fault) -> str:
        """Postgres is frozen with its backends: the postmaster alone only stops taking connections."""
        target = self._target(fault)
        frozen = [target, *target.children(recursive=True)]
        for process in frozen:
            _sent(process, signal.SIGSTOP)
        thaw = asyncio.create_task(_thaw(frozen, fault.seconds))
        self._thaws.add(thaw)
        thaw.add_done_callback(self._thaws.discard)
        return f"pid {target.pid}"

    def _target(self, fault: Fault) -> psutil.Process:
        with contextlib.suppress(psutil.NoSuchProcess):
            if (pid := self._stack.pid(fault.target)) is not None:
                return psutil.Process(pid)
        raise Missed("it does not run now")

    async def _disconnect(self) -> str:
        try:
            async with asyncio.timeout(DROP_WITHIN):
                connection = await asyncpg.connect(self._stack.postgres)
                try:
                    return f"{await connection.fetchval(DROP)} connections"
                finally:
                    connection.terminate()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as away:
            raise Missed(f"Postgres is away ({type(away).__name__})") from away

    async def _scale_up(self, fault: Fault) -> str:
        name = self._stack.scale_up(fault.target)
        if name is None:
            raise Missed(f"no {fault.target} runs now to take the settings from")
        return name

    async def _scale_down(self) -> str:
        if not self._stack.extras:
            raise Missed("nothing was scaled up")
        name = self._stack.extras[0]
        return f"{name} ended with {await asyncio.to_thread(self._stack.scale_down, name)}"

    async def _again(self, fault: Fault, end: Callable[[], None]) -> str:
        began, self.whole_since = time.monotonic(), math.inf
        await asyncio.to_thread(end)
        ended = time.monotonic()
        self._stack.begin(dict(zip(SERVICES, fault.scale, strict=True)))
        await asyncio.to_thread(self._stack.await_answers)
        self.whole_since = time.monotonic()
        return f"ended in {ended - began:.1f} s, up in {self.whole_since - ended:.1f} s"


async def _thaw(frozen: Sequence[psutil.Process], seconds: float) -> None:
    await asyncio.sleep(seconds)
    for process in frozen:
        _sent(process, signal.SIGCONT)


def _sent(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)

"""The processes of a run, written down so that the next start can end what a killed supervisor left."""

import contextlib
import json
import os
import signal
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

import psutil

END_WITHIN = 15.0
CLOCK_STEP = 2.0  # seconds by which the system's idea of a process's start may move


class Recorded(NamedTuple):
    """A process: a pid alone may be someone else's by the next start. `by` is the signal that ends it cleanly."""

    pid: int
    began: float
    by: int


def recorded(pid: int, by: signal.Signals) -> Recorded | None:
    """A process that runs now; None for one that is gone already."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return Recorded(pid, psutil.Process(pid).create_time(), by)
    return None


def end_last_run(record: Path) -> None:
    """End what the last supervisor left running; after a clean stop there is nothing to do."""
    try:
        entries = [Recorded(**entry) for entry in json.loads(record.read_text()).values()]
    except FileNotFoundError:
        return
    left = {entry: process for entry in entries if (process := _same(entry)) is not None}
    for entry, process in left.items():
        ask(process, signal.Signals(entry.by))
    see_ended(left.values())
    for entry in left:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(entry.pid, signal.SIGKILL)
    record.unlink()


def end(processes: Collection[psutil.Process], by: signal.Signals) -> None:
    """Signal the processes, wait for their end, and kill those that don't end."""
    for process in processes:
        ask(process, by)
    see_ended(processes)


def ask(process: psutil.Process, by: signal.Signals) -> None:
    """Signal a process to end, and wake it and its children: frozen they could not follow."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(by)
    wake(process)


def wake(process: psutil.Process) -> None:
    """Let a process and its children go on, if they are frozen."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for each in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGCONT)


def see_ended(processes: Iterable[psutil.Process]) -> None:
    """Wait for the end of these, and kill those that don't end."""
    _, stubborn = psutil.wait_procs(list(processes), timeout=END_WITHIN)
    for process in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=END_WITHIN)


def _same(entry: Recorded) -> psutil.Process | None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(entry.pid)
        if abs(process.create_time() - entry.began) < CLOCK_STEP:
            return process
    return None

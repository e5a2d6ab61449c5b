"""The processes of a run, written down so that the next start can end what a killed supervisor left."""

import contextlib
import json
import os
import signal
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import psutil

END_WITHIN = 15.0
CLOCK_STEP = 2.0  # seconds by which the system's idea of a process's start may move


def recorded(pids: Mapping[str, int | None]) -> dict[str, dict[str, float]]:
    """Pids with the time each began: a pid alone may be someone else's by the next start."""
    record = {}
    for name, pid in pids.items():
        with contextlib.suppress(psutil.NoSuchProcess):
            if pid is not None:
                record[name] = {"pid": pid, "began": psutil.Process(pid).create_time()}
    return record


def end_last_run(record: Path) -> None:
    """End what the last supervisor left running; after a clean stop there is nothing to do."""
    try:
        entries = json.loads(record.read_text()).values()
    except FileNotFoundError:
        return
    left = [process for entry in entries if (process := _same(int(entry["pid"]), entry["began"])) is not None]
    end(left, signal.SIGTERM)
    for process in left:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    record.unlink()


def end(processes: Collection[psutil.Process], by: signal.Signals) -> None:
    """Signal the processes, wait for their end, and kill those that don't end."""
    _signal(processes, by)
    _, stubborn = psutil.wait_procs(processes, timeout=END_WITHIN)
    _signal(stubborn, signal.SIGKILL)
    psutil.wait_procs(stubborn, timeout=END_WITHIN)


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _same(pid: int, began: float) -> psutil.Process | None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if abs(process.create_time() - began) < CLOCK_STEP:
            return process
    return None

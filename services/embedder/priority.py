"""Stepping back for everybody else while much is to be encoded, and coming forward again.

Linux gives each thread a nice value of its own, and lets nobody but root take one back: so threads step back, and
others come after them. Where sessions are groups of their own to the scheduler (autogroup, see sched(7)), nice values
only count within a session, and the session's own is what counts between them; that one can be taken back.
"""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

LOWEST = 19
SESSION = 10
"""A tenth of what other sessions get, and not less: one that is starved is thrown out of its consumer group."""
_AUTOGROUP = Path("/proc/self/autogroup")
_ONE_THREAD = "TOKENIZERS_PARALLELISM"
"""The tokenizer's own threads keep the nice value of whoever first needed them; set to false, it needs none."""


def workers(most: int, name: str, *, behind: bool) -> ThreadPoolExecutor:
    """A pool of threads, that step back if they are to be `behind` all others."""
    return ThreadPoolExecutor(most, thread_name_prefix=name, initializer=_step_back if behind else None)


def step_back() -> None:
    """Have this process give way to all others, as far as that isn't its threads' own affair."""
    if sys.platform == "linux":
        os.environ[_ONE_THREAD] = "false"
        _nice_of_session(SESSION)
    else:
        os.nice(LOWEST)  # for good: elsewhere a process has one value, and can't take it back


def come_forward() -> None:
    """Have this process take its turn like others again."""
    if sys.platform == "linux":
        os.environ.pop(_ONE_THREAD, None)
        _nice_of_session(os.getpriority(os.PRIO_PROCESS, os.getpid()))  # as it was started


def _step_back() -> None:
    """The calling thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST)


def _nice_of_session(value: int) -> None:
    """Where there are autogroups, and the session is this process's: one of a shell's is everybody's in it."""
    if os.getsid(0) == os.getpid():
        with suppress(OSError):
            _AUTOGROUP.write_text(str(value))

"""Giving way: only the threads that encode step back, and those that come after them don't."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from encoders.chunking import Piece
from eventlog.delivery import TopicPartition
from eventlog.inbox import Inbox
from services.embedder import priority
from services.embedder.pipeline import Pipeline
from services.embedder.producer import Producer
from services.embedder.work import Origin
from services.stack.program import launched
from tests.services.embedder.events import added, deliver
from tests.services.embedder.test_pipeline import Log, SlowEncoder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives each thread a priority of its own")


def nice() -> int:
    """That of the calling thread."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


class Watched(SlowEncoder):
    """Remembers how nice the threads were that it worked in."""

    def __init__(self) -> None:
        super().__init__()
        self.preparing: list[int] = []
        self.encoding: list[int] = []

    def prepare(self, texts: Sequence[str]) -> list[list[Piece]]:
        """The same."""
        self.preparing.append(nice())
        return super().prepare(texts)

    def encode(self, pieces: Sequence[Piece]) -> NDArray[np.float16]:
        """The same."""
        self.encoding.append(nice())
        return super().encode(pieces)


def test_only_the_threads_of_a_pool_that_is_behind_step_back() -> None:
    """The process's others, which fetch and write, keep their turn."""
    ours = nice()
    assert priority.workers(1, "behind", behind=True).submit(nice).result() == priority.LOWEST
    assert priority.workers(1, "not", behind=False).submit(nice).result() == ours
    assert nice() == ours


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this kernel has no autogroups")
@pytest.mark.skipif(os.geteuid() != 0, reason="others may change it only ten times a second, all together")
def test_who_comes_forward_is_as_nice_as_when_it_was_started() -> None:
    """The session's value is what counts between processes of a stack, and the embedder's is 5 in there."""
    code = (
        "from pathlib import Path; from services.embedder import priority; group = Path('/proc/self/autogroup')\n"
        "for change in (priority.step_back, priority.come_forward): change(); print(group.read_text().split()[-1])"
    )
    command = launched((sys.executable, "-c", code), nice=5)
    printed = subprocess.check_output(command, text=True, start_new_session=True)
    assert [int(value) for value in printed.split()] == [priority.SESSION, 5]


async def test_a_pipeline_that_has_caught_up_works_in_threads_that_do_not_give_way() -> None:
    """Documents before and after are written alike, in their order."""
    inbox, log, encoder, ours = Inbox("documents"), Log(), Watched(), nice()
    pipeline = Pipeline(inbox, cast(Producer, log))
    inbox.begin(1, {TopicPartition("documents", 0): 0})
    pipeline.begin(Origin("incarnation", "encoder"), 2, {})
    await pipeline.go_on(behind=True)
    running = asyncio.create_task(pipeline.run(encoder))
    first, second = added(0, "before"), added(0, "after")
    deliver(inbox, 0, first)
    await log.holds(0, 1)
    await pipeline.go_on(behind=False)
    deliver(inbox, 0, second)
    await log.holds(0, 2)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert log.ids[0] == [first.id, second.id]
    assert encoder.preparing == encoder.encoding == [priority.LOWEST, ours]

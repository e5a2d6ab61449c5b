"""A stack that lives in a thread of its own, so that the demo can be told from top to bottom."""

import asyncio
import threading
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from services.stack.supervisor import Stack


class Background:
    """`with Background(stack)`: the stack runs inside, and whatever ends the block stops it in good order."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._thread = threading.Thread(target=self._live, name="stack")
        self._begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = Future()
        self._ready: Future[None] = Future()

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._ready.result()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def stop(self, name: str) -> None:
        """Stop a process, and have it stay so."""
        asyncio.run_coroutine_threadsafe(self.stack.stop(name), self._begun.result()[0]).result()

    def start(self, name: str) -> None:
        """Start it again."""
        asyncio.run_coroutine_threadsafe(self.stack.start(name), self._begun.result()[0]).result()

    def _end(self) -> None:
        loop, task = self._begun.result()
        if not task.done():
            loop.call_soon_threadsafe(task.cancel)
        self._thread.join()

    def _live(self) -> None:
        try:
            asyncio.run(self._hold())
        except asyncio.CancelledError:
            pass  # that is how it is told to end
        except Exception as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)

    async def _hold(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._begun.set_result((asyncio.get_running_loop(), task))
        async with self.stack:
            self._ready.set_result(None)
            await asyncio.Event().wait()

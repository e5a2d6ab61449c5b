"""A stack that lives in a thread of its own, so that the demo can be told from top to bottom."""

import asyncio
import threading
from concurrent.futures import Future

from services.stack.supervisor import Stack


class Background:
    """Runs a stack from `open` to `close`, and hands over what is to be done to its processes."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._thread = threading.Thread(target=self._live, name="stack")
        self._begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = Future()
        self._ready: Future[None] = Future()

    def open(self) -> None:
        """Start the stack; return when everything answers. Whatever keeps it from that, nothing is left running."""
        self._thread.start()
        try:
            self._ready.result()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop the stack in good order."""
        loop, task = self._begun.result()
        if not task.done():
            loop.call_soon_threadsafe(task.cancel)
        self._thread.join()

    def stop(self, name: str) -> None:
        """Stop a process, and have it stay so."""
        asyncio.run_coroutine_threadsafe(self.stack.stop(name), self._begun.result()[0]).result()

    def start(self, name: str) -> None:
        """Start it again."""
        asyncio.run_coroutine_threadsafe(self.stack.start(name), self._begun.result()[0]).result()

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

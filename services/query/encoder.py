"""Questions to vectors, beside a service that already answers all that needs none."""

import asyncio
import os
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray
from prometheus_client import Histogram

from encoders import questions
from encoders.questions import QuestionsToVectors
from schemas.encoders import MINILM, QUERY_CHARACTERS, Encoder
from services.loading import loaded
from services.query.metrics import encode_seconds

log = structlog.get_logger()

_REMEMBERED = 1024
"""Questions whose vectors are kept; people page through answers, so the same one comes again."""
_GENTLY = 10
"""The niceness of loading an encoder beside another that serves: making its graph takes seconds of every core."""


class QueryEncoder:
    """An encoder that loads in a thread of its own, and encodes in another, one question at a time."""

    def __init__(
        self,
        encoder: Encoder = MINILM,
        device: str = "auto",
        folder: Path | None = None,
        seconds: Histogram | None = None,
    ) -> None:
        """Only say which encoder it will be; `start` loads it. `folder` has the model, if no package carries it."""
        self.encoder = encoder
        self._seconds = (seconds or encode_seconds()).labels(encoder.name)
        self._device = device
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="query-encoder")
        self._loading: Future[QuestionsToVectors] | None = None
        self._known: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    def start(self, *, gently: bool = False) -> None:
        """Begin to load, and return at once; `gently`, so that it takes no time from what is served meanwhile."""
        self._loading = loaded(self._load_gently if gently else self._load)

    @property
    def ready(self) -> bool:
        """Whether a question can be encoded now."""
        return self._loading is not None and self._loading.done() and self.failure is None

    @property
    def failure(self) -> BaseException | None:
        """Why it will never be ready, once loading has failed."""
        if self._loading is None or not self._loading.done():
            return None
        return self._loading.exception()

    async def encode(self, text: str) -> NDArray[np.float32]:
        """Encode a question to a vector of length 1, waiting for the model if it isn't loaded; read-only.

        Raises what loading raised, if it failed.
        """
        text = text[:QUERY_CHARACTERS]
        if (known := self._known.get(text)) is not None:
            self._known.move_to_end(text)
            return known
        with self._seconds.time():
            vector = await asyncio.get_running_loop().run_in_executor(self._thread, self._encode, text)
        vector.setflags(write=False)
        self._known[text] = vector
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return vector

    def retire(self) -> None:
        """Encode what was asked for until now; the thread goes then, and with the last question the model."""
        self._thread.shutdown(wait=False)

    def close(self) -> None:
        """Let the thread go; what it has begun it finishes, and nothing waits for that."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    @property
    def loading(self) -> bool:
        """Whether a thread makes it now."""
        return self._loading is not None and not self._loading.done()

    def _load_gently(self) -> QuestionsToVectors:
        with suppress(OSError):  # a thread has a niceness of its own on Linux alone; what it starts inherits that
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _GENTLY)
        return self._load()

    def _load(self) -> QuestionsToVectors:
        began = time.perf_counter()
        try:
            encoder = questions.load(self.encoder, self._device, self._folder)
        except Exception:
            log.exception("query encoder failed to load", encoder=self.encoder.name)
            raise
        seconds = round(time.perf_counter() - began, 2)
        log.info("query encoder ready", encoder=encoder.describe(), seconds=seconds)
        return encoder

    def _encode(self, text: str) -> NDArray[np.float32]:
        if self._loading is None:
            raise RuntimeError("QueryEncoder.encode was called before start")
        return self._loading.result().encode_query(text)

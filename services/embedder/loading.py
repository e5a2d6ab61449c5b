"""The model that an embedder embeds with: found by its encoder's name and loaded; tried again where that can't be."""

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import structlog

from encoders.cache import VectorCache
from encoders.encoder import TextEncoder
from encoders.folder import UnusableModel
from projections.database import connect
from projections.encoders import Registered, find
from schemas.encoders import CHUNKER, MINILM, Encoder
from schemas.errors import DatabaseAway, EncoderMissing
from services.loading import loaded
from services.settings import Settings

AGAIN_AFTER = 5.0
"""Seconds after which what was missing is looked for again."""

log = structlog.get_logger()


class Loading:
    """An encoder's model, on its way; `note` says how far it is, and what it waits for."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.note = "loading"
        self._settings = settings
        self._name = name
        self._loading: Future[TextEncoder] | None = None

    @property
    def busy(self) -> bool:
        """Whether a thread loads the model now."""
        return self._loading is not None and not self._loading.done()

    async def load(self, workers: Callable[[int], ThreadPoolExecutor]) -> TextEncoder:
        """Return once the model is there; it encodes in `workers`.

        Raises `UnusableModel` where there is nothing to wait for: the default model comes with Nenrin.
        """
        while True:
            try:
                registered = await self._find()
                self._loading = loaded(partial(self._load, registered, workers))
                encoder = await asyncio.shield(asyncio.wrap_future(self._loading))
            except (DatabaseAway, EncoderMissing, UnusableModel) as error:
                if self._name == MINILM.name:
                    raise
                self._wait(str(error))
                await asyncio.sleep(AGAIN_AFTER)
            else:
                self.note = "loaded"
                # What is loaded stays: no collection has to look at it, and none takes long enough to be noticed.
                gc.collect()
                gc.freeze()
                return encoder

    def _wait(self, why: str) -> None:
        if self.note != (note := f"waiting: {why}"):
            log.warning("the encoder can't be had", encoder=self._name, reason=why)
        self.note = note

    async def _find(self) -> Registered:
        if self._name == MINILM.name:
            return Registered(MINILM)
        connection = await connect(self._settings.dsn, application="nenrin embedder")
        try:
            return await find(connection, self._name)
        finally:
            await connection.close()

    def _load(self, found: Registered, workers: Callable[[int], ThreadPoolExecutor]) -> TextEncoder:
        if found.encoder.chunker != CHUNKER:
            raise EncoderMissing(
                f"{self._name} cuts texts by rules {found.encoder.chunker}, this version of Nenrin by {CHUNKER}: "
                "add its model again with `nenrin encoders add MODEL`"
            )
        return TextEncoder(found.encoder, self._settings.device, found.folder, workers=workers)


def vector_cache(settings: Settings, encoder: Encoder) -> VectorCache | None:
    """Where this machine's embedders remember what they encoded; none if it may take no room.

    A file for each network, so that a backfill pushes no other's vectors out.
    """
    limit = settings.vector_cache * 1024 * 1024
    network = encoder.revision, encoder.pooling
    name = "vectors" if network == (MINILM.revision, MINILM.pooling) else f"vectors-{'-'.join(network)}"
    return VectorCache(settings.state / f"{name}.sqlite", limit, encoder) if limit else None

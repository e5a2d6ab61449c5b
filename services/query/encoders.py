"""The encoders of questions: one for each encoder whose vectors a generation keeps, loaded before anybody asks it."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from time import monotonic

import asyncpg
import structlog
from prometheus_client import Histogram, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from projections.encoders import Registered, find
from projections.generations.read import encoders_asked
from projections.reading import Reader
from schemas.encoders import MINILM
from schemas.errors import EncoderMissing, NenrinError
from services.query.encoder import QueryEncoder
from services.query.metrics import encode_seconds

LOOK_EVERY = 0.5
"""Seconds between looks at which encoders there are: two small statements."""
AGAIN_AFTER = 30.0
"""Seconds after which an encoder that could not be loaded is tried again: its folder may have come since."""

READY = "ready"

log = structlog.get_logger()

Make = Callable[[Registered, Histogram], QueryEncoder]
"""Makes an encoder that isn't loaded yet; it counts in the histogram."""


def on(device: str) -> Make:
    """Encoders that compute on this device."""

    def make(registered: Registered, seconds: Histogram) -> QueryEncoder:
        return QueryEncoder(registered.encoder, device, registered.folder, seconds)

    return make


class QueryEncoders(Collector):
    """Every encoder that a generation may be asked with, by its name."""

    def __init__(self, make: Make) -> None:
        self.seconds = encode_seconds()
        self._make = make
        self._held: dict[str, QueryEncoder] = {}
        self._tried_at: dict[str, float] = {}
        self._unknown: dict[str, str] = {}

    def start(self) -> None:
        """Begin with the default one, which most installations have, before Postgres says which they are."""
        self._hold(Registered(MINILM))

    def ready(self, name: str | None) -> QueryEncoder | None:
        """The encoder of this name, if it can encode now."""
        held = self._held.get(name or "")
        return held if held is not None and held.ready else None

    def unknown(self, name: str | None) -> bool:
        """Whether a generation was made with it, and nobody knows its model any more."""
        return name in self._unknown

    def state(self, name: str | None) -> str:
        """How the encoder of this name is, in words."""
        held = self._held.get(name or "")
        if held is None:
            return self._unknown.get(name or "", "about to be loaded")
        if held.failure is not None:
            return f"could not be loaded: {held.failure}"
        return READY if held.ready else "loading"

    def states(self) -> dict[str, str]:
        """How each encoder is, by its name."""
        return {name: self.state(name) for name in (*self._held, *self._unknown)}

    @property
    def loading(self) -> bool:
        """Whether a thread loads one now."""
        return any(encoder.loading for encoder in self._held.values())

    async def follow(self, reader: Reader) -> None:
        """Load what becomes wanted, and drop what no longer is, for ever."""
        said = ""
        while True:
            try:
                await self.look(reader)
                said = ""
            except (NenrinError, asyncpg.PostgresError) as error:  # those that are held go on
                if str(error) != said:  # once, not at every look
                    log.warning("which encoders there are could not be told", error=(said := str(error)))
            await asyncio.sleep(LOOK_EVERY)

    async def look(self, reader: Reader) -> None:
        """See once which are wanted. Raises `DatabaseAway`, `GenerationMissing`, `GenerationOutdated`."""
        await reader.generations(fresh=True)  # so that no read has to find out about new ones
        wanted = await encoders_asked(reader)
        if not wanted:  # nothing is installed yet
            return
        for name in wanted:
            if name not in self._held or self._has_to_be_tried_again(name):
                await self._find(name, reader)
        for name in self._held.keys() - wanted:
            self._drop(name)
        self._unknown = {name: why for name, why in self._unknown.items() if name in wanted}

    def _has_to_be_tried_again(self, name: str) -> bool:
        return self._held[name].failure is not None and monotonic() - self._tried_at[name] > AGAIN_AFTER

    async def _find(self, name: str, reader: Reader) -> None:
        try:
            self._hold(await find(reader, name))
        except EncoderMissing as error:
            if name not in self._unknown:
                log.warning("a generation's encoder is not known", encoder=name, error=str(error))
            self._unknown[name] = f"not known: {error}"

    def _hold(self, registered: Registered) -> None:
        name = registered.encoder.name
        gently = any(encoder.ready for encoder in self._held.values())
        if name in self._held:
            self._held[name].retire()
        self._unknown.pop(name, None)
        self._tried_at[name] = monotonic()
        self._held[name] = self._make(registered, self.seconds)
        self._held[name].start(gently=gently)

    def _drop(self, name: str) -> None:
        log.info("query encoder dropped: no generation has its vectors", encoder=name)
        self._held.pop(name).retire()
        with suppress(KeyError):
            self.seconds.remove(name)

    def close(self) -> None:
        """Let all of them go."""
        for encoder in self._held.values():
            encoder.close()

    def collect(self) -> Iterable[Metric]:
        """Whether each is ready."""
        ready = GaugeMetricFamily(
            "nenrin_query_encoder_ready",
            "1 for an encoder that questions can be encoded with, 0 while it can't.",
            labels=["encoder"],
        )
        for name, state in self.states().items():
            ready.add_metric([name], float(state == READY))
        return (ready,)

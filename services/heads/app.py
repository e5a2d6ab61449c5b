"""The heads probe's process."""

import asyncio
import contextlib
import signal
import time

import structlog
import uvloop
from aiokafka.errors import KafkaError

from eventlog.ending import exit_on_error
from projections.heads import observer
from schemas.errors import NenrinError, NewerSchema
from services.background import serve_status
from services.heads.metrics import Metrics
from services.heads.probe import Probe
from services.heads.reader import Reader
from services.settings import Settings
from web.readiness import Readiness
from web.registry import Registry

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 2.0
STEADY = 10.0
"""Seconds of observing after which the next failure is the first of its kind again."""
CONNECT_WITHIN = 5.0
FRESH = 1.0
"""Seconds since the last look within which the probe is ready."""

log = structlog.get_logger()


def run(settings: Settings) -> None:
    """Observe until SIGTERM or SIGINT."""
    uvloop.run(_run(settings))


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics = Metrics(registry := Registry())
    serve_status(settings.host, settings.metrics_port, registry, lambda: readiness(metrics.age))
    observing = asyncio.create_task(_observe(settings, metrics))
    await stop.wait()
    observing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await observing
    log.info("stopped")


def readiness(age: float) -> Readiness:
    """Ready is who has recorded the log's ends a moment ago; NaN seconds ago is never."""
    return Readiness({"heads": "ok" if age < FRESH else f"not recorded for {age:.1f} s: Kafka or Postgres is away"})


async def _observe(settings: Settings, metrics: Metrics) -> None:
    """Probe, and begin anew whenever Kafka or Postgres fail; in between nothing is recorded, so lag turns unknown."""
    pause = FIRST_PAUSE
    with exit_on_error("observing heads"):
        while True:
            started = time.monotonic()
            try:
                await _probe(settings, metrics)
            except NewerSchema:
                raise  # no pause would mend it
            except (NenrinError, KafkaError, OSError, TimeoutError) as error:
                lasted = time.monotonic() - started
                pause = FIRST_PAUSE if lasted > STEADY else min(2 * pause, LONGEST_PAUSE)
                metrics.failures.inc()
                log.warning("not observing", reason=str(error) or type(error).__name__, again_in=pause)
            await asyncio.sleep(pause)


async def _probe(settings: Settings, metrics: Metrics) -> None:
    kafka = settings.kafka_settings()
    async with asyncio.timeout(CONNECT_WITHIN):
        connection = await observer(settings.dsn)
    try:
        async with Reader(kafka) as reader:
            log.info("observing", kafka=kafka.bootstrap)
            await Probe(kafka, connection, reader, metrics).run()
    finally:
        connection.terminate()

"""The Faust application of a process that keeps its own positions, and how it runs."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

import faust
import structlog
from faust.app.base import BootStrategy

from eventlog.connection import KafkaSettings
from eventlog.ending import exit_on_error, leave
from eventlog.fetching import Claim, Reading, Release
from eventlog.inbox import Inbox
from eventlog.positioned import PositionedConsumer, PositionedTransport, delivered

LEAVE_WITHIN = 5.0
"""Seconds to leave the consumer group in. A group that nobody left takes the session timeout to notice."""

CALM_WITHIN = 3.0
"""Seconds in which a group has divided its partitions as a rule, when Kafka answers."""

log = structlog.get_logger()


class _ConsumerOnly(BootStrategy):
    """Faust's own producer can't be idempotent without its transactions, so none is started; nor any web server."""

    enable_kafka_producer = False
    enable_web = False


class App(faust.App):
    """Faust, without a folder of its own in the working directory. A process may run several, each in a group."""

    BootStrategy = _ConsumerOnly
    begun: asyncio.Event
    """All of it has started: what is stopped before leaves parts that nobody stops."""

    def _create_directories(self) -> None:
        pass

    async def on_started(self) -> None:
        """Call when all services have started, before the group has divided anything."""
        self.begun.set()
        await super().on_started()

    @property
    def settled(self) -> bool:
        """Whether the group has given this process its partitions, none perhaps, and all of them are claimed."""
        return self.rebalancing_count > 0 and not self.rebalancing


def create_app(name: str, kafka: KafkaSettings, inboxes: Iterable[Inbox], claim: Claim, release: Release) -> App:
    """An application and consumer group `name`; an agent for each inbox puts the topic's deliveries into it.

    `claim` is called after every assignment with all partitions that the process now owns, `release` before they are
    taken away. An error in either ends the process.
    """
    app = App(
        kafka.real(name),
        broker=kafka.faust(),
        key_serializer="raw",
        value_serializer="raw",
        topic_allow_declare=False,
        topic_disable_leader=True,
        # More than the inboxes let in: Faust's queue is never what is full.
        stream_buffer_maxsize=65536,
        broker_request_timeout=30.0,  # longer than a claim may take
        broker_session_timeout=6.0,
        # how long after the end of a frozen process's session the others hear of it
        broker_heartbeat_interval=0.5,
        broker_rebalance_timeout=10.0,
        worker_redirect_stdouts=False,
        web_enabled=False,
    )
    app.begun = asyncio.Event()
    reading = Reading(kafka, inboxes, claim, release)
    app.transport = PositionedTransport(app, reading)
    app.on_partitions_revoked.connect(_let_go)  # type: ignore[arg-type]  # its union of signatures fits none
    for inbox in reading.inboxes.values():
        _add_agent(app, kafka.real(inbox.topic), inbox)
    return app


def _add_agent(app: App, name: str, inbox: Inbox) -> None:
    # No acks: what Kafka would be told is not where the process goes on.
    topic = app.topic(name, key_type=bytes, value_type=bytes, acks=False)

    async def receive(stream: Any) -> None:
        """Put what arrives where the process takes it from. Never waits: a full inbox is not fetched for."""
        with exit_on_error(f"receiving {inbox.topic}"):
            async for event in stream.events():
                inbox.put(*delivered(event))

    app.agent(topic, name=f"receive.{inbox.topic}")(receive)


async def _let_go(app: Any, *_: Any, **__: Any) -> None:
    await _consumer(app).let_go()


async def begin_again(app: App) -> None:
    """Claim anew what the group has given this process. In a rebalance nothing is done: that ends with a claim."""
    await _consumer(app).claim_again()


def _consumer(app: Any) -> PositionedConsumer:
    consumer = app.consumer
    assert isinstance(consumer, PositionedConsumer)
    return consumer


async def until_stopped(
    run: Callable[[asyncio.Event], Coroutine[Any, Any, None]], stop: asyncio.Event | None = None
) -> None:
    """Run a process's work until SIGTERM or SIGINT, or until `stop` where one is given.

    Then it has a few seconds to end by itself, which the event that it was given tells it to.
    """
    alone = stop is None  # nobody goes on in this process after us
    stop = _signalled() if stop is None else stop
    running, stopping = asyncio.create_task(run(stop)), asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    log.info("stopping")
    if not (await asyncio.wait({running}, timeout=LEAVE_WITHIN))[0]:
        log.warning("left without a goodbye", within=LEAVE_WITHIN)
        if alone:
            leave()  # Faust can take minutes over its end when Kafka doesn't answer
        running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


def _signalled() -> asyncio.Event:
    signalled, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled.set)
    return signalled


async def run_app(
    app: App,
    *work: Callable[[], Awaitable[None]],
    stop: asyncio.Event,
    letting: tuple[type[BaseException], ...] = (),
) -> None:
    """Run the application, and `work` beside it, until `stop`.

    Then it finishes what it is writing, leaves the consumer group, so that another takes over at once, and returns.
    Work that ends, with or without an exception, ends the process: none of it is meant to. What is in `letting` ends
    this application alone, and is raised when that has left.
    """
    told, running = asyncio.create_task(stop.wait()), asyncio.create_task(_run(app))
    working = [asyncio.create_task(_forever(each, letting)) for each in work]
    try:
        await asyncio.wait({told, *working}, return_when=asyncio.FIRST_COMPLETED)
        await _consumer(app).leave()
        ended = await _cancelled(working)
        await _calmed(app)
        await app.stop()
    finally:
        await _cancelled([told, running, *working])
    for error in ended:
        if isinstance(error, letting):
            raise error


async def _calmed(app: App) -> None:
    """Wait until all of it has started, and the group has come to rest: a consumer that is stopped while it joins may
    wait for half a minute for the answer to its goodbye.
    """
    await app.begun.wait()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CALM_WITHIN):
            while not app.settled:  # noqa: ASYNC110  # Faust sets no event
                await asyncio.sleep(0.05)


async def _cancelled(tasks: list["asyncio.Task[Any]"]) -> list[BaseException | None]:
    """End tasks, and say what each ended with."""
    for task in tasks:
        task.cancel()
    ended: list[BaseException | None] = await asyncio.gather(*tasks, return_exceptions=True)
    return ended


async def _forever(work: Callable[[], Awaitable[None]], letting: tuple[type[BaseException], ...]) -> None:
    with exit_on_error(getattr(work, "__qualname__", "working"), letting=letting):
        await work()
        raise RuntimeError("work that should go on for ever has ended")


async def _run(app: App) -> None:
    with exit_on_error("running"):
        await app.start()
        await app.wait_until_stopped()
        if app.crash_reason is not None:
            raise app.crash_reason

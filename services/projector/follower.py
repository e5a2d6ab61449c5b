"""A generation being followed: an application and a consumer group of its own keep it up with the log."""

import asyncio
from collections.abc import Mapping

import asyncpg
import msgspec
import structlog

from eventlog.app import create_app, run_app
from eventlog.delivery import TopicPartition
from eventlog.inbox import Inbox
from eventlog.watching import watch
from projections.generations.following import Followed
from projections.generations.tables import schema_of
from projections.models import model
from projections.writer import Writer
from schemas.errors import Fenced, GenerationMissing, OtherIncarnation, TopicMismatch
from schemas.topics import DOCUMENTS, derived
from services.projector.log import Cluster, Log
from services.projector.metrics import Metrics, ProjectionMetrics
from services.projector.projection import Projection, from_derived, from_source
from services.settings import Settings

LETTING_GO = (Fenced, GenerationMissing, OtherIncarnation, TopicMismatch)
"""What was claimed is another's, is gone, or is no longer what it was: whoever follows it next begins anew."""

log = structlog.get_logger()


class Standing(msgspec.Struct, frozen=True):
    """How a follower is, for people. `settled`: the group has given it partitions, none perhaps, and it has them."""

    name: str
    settled: bool
    says: str


class Follower:
    """Folds the log into one generation, from `run` until `end`; the others of the process are none the worse for it.

    A generation that is held while it is followed, promoted or dropped needs no word of its own: it is fenced, goes on,
    or is gone.
    """

    def __init__(self, settings: Settings, cluster: Cluster, metrics: Metrics, followed: Followed) -> None:
        folded = model(followed.projection, settings.text_language)
        measured = ProjectionMetrics(metrics, followed.projection, followed.generation)
        topic = DOCUMENTS if followed.encoder is None else derived(followed.encoder)
        writer = Writer(folded, followed.generation, settings.dsn, measured.committed, settings.park_limit)
        read = from_source if followed.encoder is None else from_derived
        self.followed = followed
        self._log = Log(cluster, topic)
        self._metrics = measured
        self._projection = Projection(Inbox(topic), writer, read, measured, self._log)
        self._app = create_app(
            # of this very build: several databases may follow one Kafka
            f"nenrin-projector-{followed.projection}-g{followed.generation}-{followed.created:x}",
            settings.kafka_settings(),
            [self._projection.inbox],
            self._claim,
            self._projection.release,
        )
        self._over = asyncio.Event()

    @property
    def standing(self) -> Standing:
        """How it is; the live generation stands for its projection."""
        name, number = self.followed.projection, self.followed.generation
        name = name if self.followed.live else f"{name} generation {number}"
        return Standing(name, self._app.settled, self._projection.standing)

    async def run(self) -> None:
        """Follow until `end`, or until what was claimed no longer is what it was; says why."""
        schema = schema_of(self.followed.projection, self.followed.generation)
        log.info("following", generation=schema, encoder=self.followed.encoder)
        reason = "it is no longer to be followed here"
        try:
            await run_app(self._app, self._projection.work, self._watch, stop=self._over, letting=LETTING_GO)
        except LETTING_GO as error:
            reason = str(error)
        self._metrics.end()
        log.info("let go", generation=schema, reason=reason)

    def end(self) -> None:
        """Finish what is being written, and leave the group."""
        self._over.set()

    async def confirm(self, connection: asyncpg.Connection) -> None:
        """Ask whether what was claimed still is this process's, and let go of it where it isn't."""
        try:
            await self._projection.confirm(connection)
        except (Fenced, GenerationMissing) as error:
            log.info("claimed by another", reason=str(error))
            self.end()

    async def _claim(self, assigned: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        await self._log.hold()
        try:
            source = self._log.source()
        except TopicMismatch as error:
            self._projection.stop(error)
            return {}
        return await self._projection.claim(assigned, source)

    async def _watch(self) -> None:
        await watch(self._app, self._log.incarnations, lambda: self._projection.due)

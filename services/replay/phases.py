"""The phases of a rebuild, each of which finds in the database whether it is done already."""

import asyncpg
import msgspec
from sqlalchemy.exc import DBAPIError

from projections import encoders
from projections.control.install import administration
from projections.generations import candidates, lifecycle, loading
from projections.generations.candidates import Candidate
from projections.generations.holding import hold, let_go
from projections.generations.lifecycle import Decision
from projections.generations.loading import Loading
from schemas.encoders import MINILM
from schemas.errors import DatabaseAway, OtherIncarnation
from services.replay import following, reading, times
from services.replay.filling import Job
from services.replay.gates import Asked, gate
from services.replay.indexing import shown
from services.replay.loading import load
from services.replay.planning import Order, Plan
from services.replay.progress import Phase
from services.replay.report import Gate, Gates, Outcome, Report
from services.replay.telling import Timed
from services.replay.waiting import covered
from services.settings import Settings


class Run(msgspec.Struct, frozen=True):
    """One attempt. `hold` keeps others from `generation`, which is built.

    `settings` name the database where that is; `live` is the one to be replaced there, None where there never was one.
    """

    settings: Settings
    order: Order
    plan: Plan
    hold: asyncpg.Connection
    told: Timed
    generation: int
    live: int | None

    @property
    def projection(self) -> str:
        """Its name."""
        return self.order.projection


async def wait_for_cover(settings: Settings, plan: Plan, here: asyncpg.Connection | None, told: Timed) -> None:
    """Wait until there are vectors for all that is to be built: up to its end, or to where live is."""
    encoder, ends, name = plan.kind.encoder, plan.ends, plan.model.name
    if encoder is None:
        return
    if ends is None and here is not None and (live := await candidates.live_number(here, name)) is not None:
        ends = (await candidates.content(here, name, live)).positions
    if ends is not None:
        await covered(settings.kafka_settings(), encoder, ends, told)


async def register(plan: Plan, there: asyncpg.Connection, here: asyncpg.Connection | None) -> None:
    """Make the encoder known in another database too."""
    name = plan.kind.encoder
    if here is not None and name not in (None, MINILM.name):
        known = await encoders.find(here, name)
        await encoders.register(there, known.encoder, known.folder)


async def begin(hold_: asyncpg.Connection, dsn: str, plan: Plan, told: Timed) -> int:
    """The generation to build: what was left of one of the kind, or a new one. Leftovers of other kinds are dropped."""
    found = await candidates.candidates(hold_, plan.model.name)
    going_on = next((each for each in reversed(found) if goes_on(each, plan)), None)
    for each in found:
        if not each.loaded and each is not going_on:
            told.say(f"{each.schema} was left by a rebuild of another kind, half built: dropped")
            await candidates.discard(hold_, each)
    number = await _create(dsn, plan) if going_on is None else going_on.generation
    await hold(hold_, plan.model.name, number)
    if plan.ends is not None:
        await candidates.end(hold_, plan.model.name, number)  # before it is loaded: no projector takes it on
    if going_on is not None:
        told.say(_going_on(going_on))
    return number


def goes_on(found: Candidate, plan: Plan) -> bool:
    """Whether a generation is what is to be built: half built, or whole and neither ended before its time. Pure."""
    return found.kind == plan.kind and (not found.loaded or not found.ended or plan.ends is not None)


def _going_on(found: Candidate) -> str:
    if not found.loaded:
        return f"{found.schema} was left half built by an earlier rebuild: it goes on where that stopped"
    if found.kind is not None and found.kind.until is not None:
        return f"{found.schema} ends there already"
    return (
        f"{found.schema} is built already, and not promoted: it goes on with its gates "
        f"(`nenrin projections retire {found.projection} {found.generation}` drops it)"
    )


async def _create(dsn: str, plan: Plan) -> int:
    try:
        async with administration(dsn) as connection:
            number = await lifecycle.next_number(connection, plan.model.name)
            await loading.create(connection, plan.model, number, plan.build, plan.kind.until)
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        raise DatabaseAway(f"Postgres: {error.orig}") from error
    return number


async def build(run: Run) -> Report:
    """Load, hold against live, and promote."""
    events = await _load(run)
    if run.live is None:
        await candidates.point_first(run.hold, run.projection, run.generation)
        run.told.say(f"{run.projection} had no generation there: {run.generation} is live")
        return await _report(run, events, promoted=True)
    if run.plan.ends is not None:
        return await _report(run, events)
    return await _prove(run, run.live, events)


async def _load(run: Run) -> int:
    """Have all rows there, and indexes; returns how many records this attempt has gone through."""
    kafka, plan = run.settings.kafka_settings(), run.plan
    stretch = await reading.stretch(kafka, plan.kind.encoder)
    if stretch.source.incarnation != plan.kind.incarnation:
        raise OtherIncarnation(f"topic {stretch.source.name} was made anew while it was looked at: begin again")
    made = Loading(plan.model, run.generation, plan.build.dimensions)
    job = Job(made, run.settings.dsn, kafka, stretch, plan.ends, run.settings.park_limit)
    async with shown(run.settings.dsn, made.schema, run.told):
        return (await load(run.hold, job, run.told)).events


async def _prove(run: Run, live: int, events: int) -> Report:
    """Gates; then projectors take the candidate on; then it becomes live, if nothing stands in the way."""
    found = await _gates(run, live)
    forced = None if found.passed else run.order.forced_because
    may = run.order.promotes and (found.passed or forced is not None)
    await let_go(run.hold, run.projection, run.generation)
    if may:
        await _follow(run, live)
        run.told.show(Phase.PROMOTING)
        decision = Decision(run.order.by, forced, msgspec.json.encode(found).decode())
        await lifecycle.promote(run.hold, run.projection, run.generation, live, decision)
    return await _report(run, events, found, promoted=may, forced_because=forced)


async def _gates(run: Run, live: int) -> Gates:
    run.told.show(Phase.GATES)
    if run.order.postgres is not None and await _is_stale(run, live):
        detail = f"generation {live} there is behind the log, and no projector feeds it: they have no version in common"
        return Gates(run.projection, run.generation, live, None, [Gate("version", Outcome.NOT_APPLICABLE, detail)])
    asked = Asked(run.order.queries)
    return await gate(run.hold, run.settings, run.projection, run.generation, asked=asked, progress=run.told)


async def _is_stale(run: Run, live: int) -> bool:
    """Whether the live generation of another database stands still where it was built."""
    theirs = await following.seen(run.hold, run.projection, live)
    return not theirs.fed and theirs.behind(await following.seen(run.hold, run.projection, run.generation)) > 0


async def _follow(run: Run, live: int) -> None:
    if not await following.caught_up(run.hold, run.projection, run.generation, live, run.told):
        run.told.say(
            "no projector has taken it on: it is promoted as it is, and follows the log once one runs (`nenrin status`)"
        )


async def reported(run: Run) -> Report:
    """What there is to say of a generation that became live before Postgres could say so."""
    return await _report(run, 0, promoted=True, forced_because=run.order.forced_because)


async def _report(
    run: Run,
    events: int,
    gates: Gates | None = None,
    *,
    promoted: bool = False,
    forced_because: str | None = None,
) -> Report:
    content = await candidates.content(run.hold, run.projection, run.generation)
    stands = times.version_of(content.positions, run.plan.kind.incarnation).token()
    return Report(
        run.generation,
        run.projection,
        run.plan.kind.encoder,
        stands if gates is None or gates.version is None else gates.version,
        events,
        content.documents + content.passages,
        run.told.seconds(),
        () if gates is None else gates.gates,
        promoted,
        forced_because,
    )

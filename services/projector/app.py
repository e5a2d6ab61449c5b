"""The process: it follows whatever there is to follow, and says how that stands."""

import asyncio
from collections.abc import Sequence

import uvloop

from eventlog.app import until_stopped
from services.background import serve_status
from services.projector.follower import Standing
from services.projector.following import Following
from services.projector.metrics import Metrics
from services.settings import Settings
from web.readiness import Readiness
from web.registry import Registry


def run(settings: Settings) -> None:
    """Project until SIGTERM."""
    uvloop.run(project(settings))


async def project(settings: Settings, stop: asyncio.Event | None = None) -> None:
    """Project until a signal says stop, or `stop` where it is given."""
    registry = Registry()
    following = Following(settings, Metrics(registry))
    serve_status(settings.host, settings.metrics_port, registry, lambda: readiness(following.standings))
    await until_stopped(following.run, stop)


def readiness(standings: Sequence[Standing]) -> Readiness:
    """Ready is who has claimed its partitions, however many they are; of the generations one may have stopped."""
    unsettled = [each.name for each in standings if not each.settled]
    claimed = "ok" if standings and not unsettled else f"not claimed: {', '.join(unsettled) or 'nothing is followed'}"
    return Readiness({"partitions": claimed}, {each.name: each.says for each in standings})

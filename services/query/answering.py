"""Answers as fresh as they were asked for: read, and if that is not enough, wait, say so, or answer all the same."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from litestar.plugins.problem_details import ProblemDetailsException

from projections.generations.read import nothing
from projections.lag import Lag
from projections.reading import Answer, Ask, Reader
from schemas.errors import GenerationMissing, NenrinError
from schemas.versions import Version
from services.query.conditions import Conditions
from services.query.waiting import TooManyWaiters, Waiter, Waiters
from web.problems import RETRY_AFTER, not_installed, problem, unavailable

Gone = Callable[[], Coroutine[Any, Any, None]]
"""Returns when the client has hung up."""


class HungUp(NenrinError):
    """Nobody is there any more to answer."""


class Answers:
    """Reads that keep the conditions of their requests."""

    def __init__(self, reader: Reader, waiters: Waiters) -> None:
        self._reader = reader
        self._waiters = waiters

    async def answer(self, projection: str, ask: Ask, conditions: Conditions, gone: Gone) -> Answer:
        """An answer that meets the conditions, or any when they are lenient.

        Raises problems: 412 where the conditions are not met, 404 for a generation that doesn't exist, 503 where there
        are too many waiters; and what reading raises.
        """
        try:
            answer = await self._read(projection, ask, conditions, gone)
        except GenerationMissing as error:
            raise await self._no_generation(projection, error, conditions) from error
        except TooManyWaiters as error:
            raise unavailable("too-many-waiters", "Too many requests wait", f"{error}; ask again.") from error
        except HungUp as error:  # nobody reads this, but the metrics: nginx's status for the same
            raise problem(499, "hung-up", "The client hung up", f"{error}.") from error
        require(answer, conditions)
        return answer

    async def _no_generation(
        self, projection: str, error: GenerationMissing, conditions: Conditions
    ) -> ProblemDetailsException:
        """A generation that doesn't exist: what the live one has seen is said all the same."""
        if conditions.generation is None:
            return not_installed(error)
        try:
            live = await self._reader.read(projection, lambda _: nothing())
        except GenerationMissing as nothing_at_all:
            return not_installed(nothing_at_all)
        return problem(
            404,
            "no-such-generation",
            "No such generation",
            f"{error}.",
            headers=read_headers(live, conditions),
            field="Nenrin-Generation",
            projection=live.standing,
        )

    async def _read(self, projection: str, ask: Ask, conditions: Conditions, gone: Gone) -> Answer:
        answer = await self._reader.read(projection, ask, conditions.generation)
        if not conditions.wait or not conditions.missing(answer.version) or answer.ends_in_the_past:
            return answer  # without a place among those who wait: most answers need none
        deadline = asyncio.get_running_loop().time() + conditions.wait
        left = asyncio.ensure_future(gone())
        try:
            with self._waiters.waiter(projection, conditions.generation) as waiter:
                return await self._wait(projection, ask, conditions, waiter, _Patience(deadline, left))
        finally:
            left.cancel()

    async def _wait(
        self, projection: str, ask: Ask, conditions: Conditions, waiter: Waiter, patience: "_Patience"
    ) -> Answer:
        """Read until it is enough, and once more at the deadline."""
        while True:
            waiter.listen()
            over = patience.over
            answer = await self._reader.read(projection, ask, conditions.generation)
            missing = conditions.missing(answer.version)
            if not missing or over or answer.ends_in_the_past:
                return answer
            waiter.expect(_targets(missing, answer.version))
            await patience.until(waiter.woken())


class _Patience:
    """How long a request may wait: until a deadline, or until its client hangs up."""

    def __init__(self, deadline: float, left: asyncio.Future[None]) -> None:
        self._deadline = deadline
        self._left = left

    @property
    def over(self) -> bool:
        """Whether the deadline has passed."""
        return asyncio.get_running_loop().time() >= self._deadline

    async def until(self, event: Coroutine[Any, Any, None]) -> None:
        """Wait for `event`, at most until the deadline. Raises `HungUp` when the client is gone."""
        happened = asyncio.ensure_future(event)
        patience = max(0.0, self._deadline - asyncio.get_running_loop().time())
        try:
            await asyncio.wait({happened, self._left}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            happened.cancel()
        if self._left.done():
            raise HungUp("the client hung up while waiting")


def _targets(missing: Mapping[str, Mapping[int, int]], seen: Version) -> dict[int, int]:
    """The offsets to wait for, by partition. Notifications name no topic: of two, the nearer one wakes."""
    targets: dict[int, int] = {}
    for topic, positions in missing.items():
        for partition, short in positions.items():
            target = seen.next(topic, partition) + short
            targets[partition] = min(target, targets.get(partition, target))
    return targets


def require(answer: Answer, conditions: Conditions) -> None:
    """Raise the 412 unless an answer meets the conditions, or they are lenient."""
    conditions.check_log(answer.frame)
    missing = conditions.missing(answer.version)
    if (missing or conditions.too_old(answer.lag)) and not conditions.lenient:
        raise _behind(answer, missing, conditions)


def _behind(answer: Answer, missing: dict[str, dict[int, int]], conditions: Conditions) -> ProblemDetailsException:
    """The answer would be older than was asked for."""
    if missing:
        short = sum(offset for positions in missing.values() for offset in positions.values())
        detail = f"{answer.standing.name} lacks {short} events of what Nenrin-At-Least asks for"
    else:
        seconds = answer.lag.seconds
        known = "by an unknown time" if seconds is None else f"{seconds} s"
        detail = f"{answer.standing.name} lags {known}, and Nenrin-Max-Lag allows {conditions.max_lag:g} s"
    return problem(
        412,
        "projection-behind",
        "The projection is behind",
        f"{detail}; ask again, wait with Prefer: wait=5, or take what there is with Prefer: handling=lenient.",
        headers={**read_headers(answer, conditions), "Retry-After": str(RETRY_AFTER)},
        shortfall={
            topic: {str(partition): short for partition, short in positions.items()}
            for topic, positions in missing.items()
        },
        projection=answer.standing,
    )


def read_headers(answer: Answer, conditions: Conditions) -> dict[str, str]:
    """The headers that every answer to a read carries."""
    return headers_of(answer.standing.version, answer.lag, conditions)


def headers_of(token: str, lag: Lag, conditions: Conditions) -> dict[str, str]:
    """Those headers for a version and its lag."""
    headers = {"Nenrin-Version": token, "Nenrin-Lag": lag.header()}
    if conditions.applied:
        headers["Preference-Applied"] = conditions.applied
    return headers


def not_found(answer: Answer, conditions: Conditions, detail: str, **members: Any) -> ProblemDetailsException:
    """What was asked for isn't there, at this version: a reader who knows better waits."""
    return problem(
        404,
        "no-such-document",
        "No such document",
        detail,
        headers=read_headers(answer, conditions),
        projection=answer.standing,
        **members,
    )

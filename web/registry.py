"""Where a process keeps its metrics; apart from `web.metering`, for processes that serve nothing but their status."""

from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics


class Registry(CollectorRegistry):
    """A registry that begins with what Prometheus' client knows of every process: its time, memory, start and files.

    What is appended to `fetching` is awaited before a scrape, for numbers that have to be asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fetching: list[Callable[[], Awaitable[None]]] = []
        # they double the series, and say no more than when the process started
        disable_created_metrics()  # type: ignore[no-untyped-call]
        ProcessCollector(registry=self)

    async def fetch(self) -> None:
        """Get everything up to date that has to be asked for."""
        for each in self.fetching:
            await each()

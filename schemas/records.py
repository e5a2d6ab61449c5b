"""A Kafka record as the pure code sees it, whichever client read it."""

from collections.abc import Iterable

import msgspec


class Record(msgspec.Struct, frozen=True):
    """One record of a log. `time` is the broker's timestamp in milliseconds; `topic` is the logical name."""

    topic: str
    partition: int
    offset: int
    time: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()

    def header(self, name: str) -> bytes | None:
        """The last header of that name, as producers that set one twice mean it."""
        return dict(self.headers).get(name)


def frozen_headers(
    headers: Iterable[tuple[str, bytes | None]] | None,
) -> tuple[tuple[str, bytes | None], ...]:
    """Headers as any Kafka client hands them out (a list of pairs, a tuple of them, None), made hashable."""
    return tuple(headers or ())

"""What a request asks of an answer beside its content: how fresh, which generation, how long to wait. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from projections.lag import Frame, Lag
from schemas import versions
from schemas.errors import InvalidInput, OtherIncarnation
from schemas.versions import Version

LONGEST_WAIT = 30.0

_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")
_NUMBER = re.compile(rf"{_SECONDS.pattern}([eE][+-]?[0-9]+)?")  # as JSON writes them
_GENERATION = re.compile(r"[0-9]{1,400}")  # of which there is none beyond the first few
_LISTED = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^,"])+')
_PREFERENCE = re.compile(r'\s*([a-z-]+)\s*(?:=\s*(?:"([^"]*)"|([^\s;"]*)))?\s*(?:;.*)?', re.IGNORECASE | re.DOTALL)
_NAMES = frozenset({b"nenrin-at-least", b"nenrin-max-lag", b"nenrin-generation", b"prefer"})


class Conditions(msgspec.Struct, frozen=True):
    """The `Nenrin-*` and `Prefer` headers of a read. `applied` is the value of `Preference-Applied`."""

    at_least: Version | None = None
    max_lag: float | None = None
    generation: int | None = None
    wait: float = 0.0
    lenient: bool = False
    applied: str = ""

    def missing(self, seen: Version) -> dict[str, dict[int, int]]:
        """What `seen` lacks. Raises `MalformedToken`, `OtherIncarnation` for what it can never reach."""
        if self.at_least is None:
            return {}
        versions.check(self.at_least, seen)
        return versions.shortfall(self.at_least, seen)

    def check_log(self, frame: Frame) -> None:
        """Raise `OtherIncarnation` for a token of a topic that was recreated, though what is shown is still of it."""
        if self.at_least is None:
            return
        for partition in frame.partitions:
            theirs, now = self.at_least.incarnations.get(partition.topic), partition.head_incarnation
            if theirs is not None and now is not None and theirs != now and partition.observed(frame.now):
                raise OtherIncarnation(
                    f"the token counts offsets of {partition.topic} in incarnation {theirs[:40]}, which is gone: the "
                    f"topic was recreated, as {now}; forget the token and read again"
                )

    def too_old(self, lag: Lag) -> bool:
        """Whether an answer lags more than was asked for; an unknown lag does."""
        return self.max_lag is not None and not lag.within(self.max_lag)


NONE = Conditions()


def conditions(headers: Iterable[tuple[bytes, bytes]]) -> Conditions:
    """Read the headers of a request, their names in lower case. Raises `InvalidInput`, naming the header."""
    asked: dict[bytes, list[str]] = {}
    for name, value in headers:
        if name in _NAMES:
            asked.setdefault(name, []).append(value.decode("latin-1"))
    return _read(asked) if asked else NONE


def _read(asked: Mapping[bytes, list[str]]) -> Conditions:
    tokens = asked.get(b"nenrin-at-least")
    lag = _once("Nenrin-Max-Lag", asked)
    generation = _once("Nenrin-Generation", asked)
    wait, lenient, applied = _preferences(",".join(asked.get(b"prefer", ())))
    return Conditions(
        None if tokens is None else versions.merge(*(versions.parse(token.strip()) for token in tokens)),
        None if lag is None else _seconds("Nenrin-Max-Lag", lag),
        None if generation is None else _number("Nenrin-Generation", generation),
        wait,
        lenient,
        applied,
    )


def _once(header: str, asked: Mapping[bytes, list[str]]) -> str | None:
    values = asked.get(header.lower().encode("ascii"), [])
    if len(values) > 1:
        raise InvalidInput(header, "given twice")
    return values[0] if values else None


def _seconds(header: str, value: str) -> float:
    if not _NUMBER.fullmatch(value.strip()):
        raise InvalidInput(header, f"seconds were expected, as 2 or 0.5; got {value[:40]!a}")
    return float(value)


def _number(header: str, value: str) -> int:
    if not _GENERATION.fullmatch(value.strip()):
        raise InvalidInput(header, f"the number of a generation was expected; got {value[:40]!a}")
    return int(value)


def _preferences(prefer: str) -> tuple[float, bool, str]:
    """RFC 7240: what is not understood is ignored, and of two preferences of one name the first holds."""
    asked: dict[str, str] = {}
    for name, value in _listed(prefer):
        asked.setdefault(name, value)
    wait, applied = 0.0, []
    if _SECONDS.fullmatch(asked.get("wait", "")):
        wait = min(float(asked["wait"]), LONGEST_WAIT)
        applied.append(f"wait={wait:g}")
    handling = asked.get("handling", "").lower()
    if handling in ("lenient", "strict"):
        applied.append(f"handling={handling}")
    return wait, handling == "lenient", ", ".join(applied)


def _listed(prefer: str) -> Iterator[tuple[str, str]]:
    for part in _LISTED.findall(prefer):
        if found := _PREFERENCE.fullmatch(part):
            yield found[1].lower(), found[2] or found[3] or ""

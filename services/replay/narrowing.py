"""Finding the event that Postgres refuses: the log is read again in halves, until that event stands alone."""

from projections import parking
from projections.port import Change, Entry
from projections.positions import Position
from schemas.errors import DataRefused
from services.replay.segments import Finished, Segment


class Refused(Exception):
    """Postgres won't take what came of a segment."""

    def __init__(self, segment: Segment | Finished, refusal: DataRefused) -> None:
        super().__init__(str(refusal))
        self.segment = segment
        self.refusal = refusal


class Narrowing:
    """How many events a segment may have, and what is to be parked for Postgres refuses it: `amended`, by its place."""

    def __init__(self, limit: int) -> None:
        self._whole = self.limit = limit
        self._suspect = 0
        self.amended: dict[tuple[int, int], Entry] = {}

    def narrow(self, refused: Refused) -> Entry | None:
        """Go on with half a segment; one event is parked, and returned. Raises `DataRefused` if it was already."""
        segment = refused.segment
        if segment.only is None:
            self.limit, self._suspect = segment.entries // 2, segment.after.next
            return None
        self.limit = self._whole
        parked = _parked(segment.only, refused.refusal)
        self.amended[segment.partition, segment.only.place.offset] = parked
        return parked

    def passed(self, after: Position) -> None:
        """All before this is written."""
        if after.next >= self._suspect:
            self.limit, self._suspect = self._whole, 0


def _parked(entry: Entry, refusal: DataRefused) -> Entry:
    """The entry to be parked that Postgres refuses; without its bytes, if it is to be parked already."""
    if isinstance(entry.content, Change):
        return parking.refused(entry, f"Postgres refuses it: {refusal}")
    if parking.is_parked(entry) and entry != parking.bare(entry):
        return parking.bare(entry)
    raise refusal

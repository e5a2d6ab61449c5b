"""How an event that was appended again says which one it is a copy of.

Only in topics whose events add to one another: there a copy that could not be told from a new event would count twice.
"""

from collections.abc import Iterable

HEADER = "nenrin_retry_of"


def header(offset: int) -> tuple[str, bytes]:
    """The header of a copy of the record at `offset` of the same partition."""
    return HEADER, str(offset).encode()


def retry_of(headers: Iterable[tuple[str, bytes | None]], offset: int) -> int | None:
    """The offset that the record at `offset` is a copy of; None for one that is not, whatever its header may say."""
    said = next((value for name, value in reversed(tuple(headers)) if name == HEADER), None)
    if said is None or not said.isdigit() or len(said) > 18:
        return None
    return int(said) if int(said) < offset else None

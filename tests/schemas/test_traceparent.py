"""`traceparent`: what is one is kept, whatever else a producer writes there is left out."""

import json

import pytest

from schemas import traceparent
from schemas.events import STRUCTURED, traceparent_of
from schemas.records import Record

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("value", [TRACE, TRACE.encode(), TRACE[:-1] + "0", f"cc-{TRACE[3:]}-what.ever=comes"])
def test_what_is_valid_is_kept_as_it_is(value: str | bytes) -> None:
    """Versions beyond the first may have more at their end."""
    assert traceparent.valid(value) == (value if isinstance(value, str) else value.decode())


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        b"\xff",
        TRACE.upper(),
        TRACE + "-more",
        "ff" + TRACE[2:],
        TRACE.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
        TRACE.replace("b7ad6b7169203331", "0" * 16),
        f'cc-{TRACE[3:]}-"',
        f"cc-{TRACE[3:]}-\r\nx",
        f"cc-{TRACE[3:]}-{'x' * 100}",
        TRACE + "\n",
    ],
)
def test_what_is_not_is_left_out(value: str | bytes | None) -> None:
    """Nor can it break the header that it goes back in."""
    assert traceparent.valid(value) is None


def record(value: bytes, *headers: tuple[str, bytes | None]) -> Record:
    """A record of which only these matter."""
    return Record("documents", 0, 0, 0, None, value, headers)


def test_an_event_has_it_in_a_header_or_as_an_attribute() -> None:
    """CloudEvents in structured mode carry it inside; a header beside them holds before that."""
    inside = json.dumps({"traceparent": TRACE}).encode()
    structured = ("content-type", STRUCTURED)
    assert traceparent_of(record(b"", ("traceparent", TRACE.encode()))) == TRACE
    assert traceparent_of(record(inside, structured)) == TRACE
    assert traceparent_of(record(inside, structured, ("traceparent", b"00-1-2-01"))) is None
    assert traceparent_of(record(inside)) is None


@pytest.mark.parametrize("value", [b"", b"\xff", b"[]", b'{"traceparent": 1}', b"[" * 100_000])
def test_a_broken_envelope_has_none(value: bytes) -> None:
    """Whether the event is valid is not decided here."""
    assert traceparent_of(record(value, ("content-type", STRUCTURED))) is None

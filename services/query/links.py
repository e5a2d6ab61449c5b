"""Where the documents of an answer came from: their traces, in the `Link` header (RFC 8288).

Each document whose event named a span has a link to itself with that span as the parameter `traceparent`.
"""

from collections.abc import Iterator, Sequence
from typing import Literal
from urllib.parse import quote

import msgspec

LINKED = 10
"""Of an answer's documents only the first so many are looked at: a header has little room."""
LONGEST = 4096
"""Characters of the header. Proxies refuse an answer whose headers are too long, and an id may have 6,144 as a path."""


class _Named(msgspec.Struct):
    document_id: str


_named = msgspec.json.Decoder(_Named).decode


def links(
    collection: str,
    rows: Sequence[bytes],
    traceparents: Sequence[str | None],
    rel: Literal["item", "self"] = "item",
) -> str:
    """The header's value for rows that are documents as JSON; empty where none of them has a trace."""
    value = ""
    if not any(traceparents):  # most answers
        return value
    for link in _links(collection, rows, traceparents, rel):
        longer = f"{value}, {link}" if value else link
        value = longer if len(longer) <= LONGEST else value
    return value


def _links(collection: str, rows: Sequence[bytes], traceparents: Sequence[str | None], rel: str) -> Iterator[str]:
    for row, traceparent in zip(rows[:LINKED], traceparents, strict=False):
        if traceparent is not None:
            path = f"/v1/collections/{collection}/documents/{quote(_named(row).document_id, safe='')}"
            yield f'<{path}>; rel="{rel}"; traceparent="{traceparent}"'

"""What a text that a retriever hands on says about where it comes from, and how fresh the answer was."""

from typing import Any

from nenrin.client.answers import Found, Hit

KEY = "nenrin"
"""Where it stands among a document's own metadata."""


def provenance(found: Found, hit: Hit) -> dict[str, Any]:
    """The place of a passage, and the version and lag of the answer that it was found in. Unknown lag is None."""
    projection = found.projection
    return {
        "document_id": hit.document_id,
        "title": hit.title,
        "score": hit.score,
        "ordinal": hit.passage.ordinal,
        "start": hit.passage.start,
        "end": hit.passage.end,
        "version": projection.version,
        "state": projection.state,
        "lag_events": projection.lag_events,
        "lag_seconds": projection.lag_seconds,
        "generation": projection.generation,
        "encoder": projection.encoder,
    }

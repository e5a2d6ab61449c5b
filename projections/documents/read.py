"""How documents are read: one, many by their ids, or a page of a collection."""

from collections.abc import Sequence

from projections.catalogue import Generation
from projections.reading import Question

_MEMBERS = """
    'collection', collection, 'document_id', document_id, 'title', title, 'metadata', metadata,
    'source_uri', source_uri, 'added_at', to_char(added_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'source', json_build_object('topic', topic, 'partition', partition, 'offset', "offset")
"""
_WITHOUT_TEXT = f"json_build_object({_MEMBERS})"
_WHOLE = f"json_build_object({_MEMBERS}, 'text', text)"


def one(collection: str, document_id: str) -> Question:
    """A document; no row where there is none."""
    return Question(_one, (collection, document_id))


def many(collection: str, document_ids: Sequence[str]) -> Question:
    """Documents in the order of their ids, `null` for those that aren't there."""
    return Question(_many, (collection, list(document_ids)))


def page(collection: str, after: str, limit: int) -> Question:
    """At most `limit` documents whose ids come after `after`, in the order of code points, without their texts."""
    return Question(_page, (collection, after, limit))


def ids(collection: str, after: str, limit: int) -> Question:
    """At most `limit` ids that come after `after`, in the order of code points."""
    return Question(_ids, (collection, after, limit))


def _one(generation: Generation) -> str:
    return f"""rows AS (
        SELECT 1 AS n, {_WHOLE} AS body, traceparent
        FROM {generation.schema}.documents WHERE collection = $1 AND document_id = $2
    )"""


def _many(generation: Generation) -> str:
    return f"""rows AS (
        SELECT n, coalesce(body, 'null') AS body, traceparent
        FROM unnest($2::text[]) WITH ORDINALITY AS ids (wanted, n) LEFT JOIN LATERAL (
            SELECT {_WHOLE} AS body, traceparent
            FROM {generation.schema}.documents WHERE collection = $1 AND document_id = wanted LIMIT 1
        ) AS found ON true
    )"""


def _page(generation: Generation) -> str:
    return f"""rows AS (
        SELECT row_number() OVER (ORDER BY document_id) AS n, {_WITHOUT_TEXT} AS body, traceparent
        FROM (
            SELECT * FROM {generation.schema}.documents WHERE collection = $1 AND document_id > $2
            ORDER BY document_id LIMIT $3
        ) AS page
    )"""


def _ids(generation: Generation) -> str:
    return f"""rows AS (
        SELECT row_number() OVER (ORDER BY document_id) AS n, to_json(document_id) AS body, NULL AS traceparent
        FROM (
            SELECT document_id FROM {generation.schema}.documents WHERE collection = $1 AND document_id > $2
            ORDER BY document_id LIMIT $3
        ) AS page
    )"""

"""How passages are read: searches by vector, by text and by both, and the collections there are.

A search finds the best passage of each document that matches, and returns the `k` best documents. Parameters of every
search: $1 the collection, $2 k, then the vector, the text, the filter (as `filters.path_of` makes it), as far as they
are there.
"""

import msgspec

from projections.catalogue import Generation
from projections.passages import dense as by_vector
from projections.passages import lexical as by_words
from projections.reading import Question

DEPTH = 100
"""How many documents of each ranking are fused, at least."""

# Scores are fused, not ranks: of Bruch, Gai and Ingber (2023), both equally weighed. What a ranking leaves out counts 0
# in it, so its 0 is the last score that it has, or 0 itself (no word, nothing near) where it left nothing out.
_FUSION = """best AS (
    SELECT document_id, (array_agg(ordinal ORDER BY share DESC, source))[1] AS ordinal, sum(share) / 2 AS score
    FROM (
        SELECT source, document_id, ordinal,
            CASE WHEN highest > zero THEN (score - zero) / (highest - zero) ELSE 1 END AS share
        FROM ({dense} UNION ALL {lexical}) AS ranked
    ) AS shared
    GROUP BY document_id
    ORDER BY score DESC, document_id LIMIT $2
)"""
_RANKED = """SELECT {source} AS source, *, max(score) OVER () AS highest,
    CASE WHEN count(*) OVER () < {depth} THEN least(min(score) OVER (), 0) ELSE min(score) OVER () END AS zero
FROM {ranking}"""

_ROWS = """rows AS (
    SELECT row_number() OVER (ORDER BY score DESC, best.document_id) AS n, body, traceparent
    FROM {best} AS best LEFT JOIN LATERAL (
        SELECT json_build_object(
            'document_id', p.document_id, 'title', p.title, 'score', best.score,
            'passage', json_build_object('ordinal', p.ordinal, 'start', p.start, 'end', p."end", 'text', p.text),
            'metadata', d.metadata
        ) AS body, d.traceparent
        FROM {schema}.passages p
        JOIN {schema}.documents d ON d.collection = p.collection AND d.document_id = p.document_id
        WHERE p.collection = $1 AND p.document_id = best.document_id AND p.ordinal = best.ordinal
        LIMIT 1  -- keeps it a look-up by key for each row
    ) AS found ON true
)"""


class Dense(msgspec.Struct, frozen=True):
    """Passages by the cosine of their vectors to $3. Approximate where there are many, and never too few."""

    candidates: int
    filtered: bool

    def __call__(self, generation: Generation) -> str:
        """The statement's SQL."""
        nearest = by_vector.ranking(generation, self.candidates, "$4" if self.filtered else None, "$2")
        return f"{nearest}, {_ROWS.format(schema=generation.schema, best='dense')}"


class Lexical(msgspec.Struct, frozen=True):
    """Passages by the words of the text $3, any of them; exact."""

    filtered: bool

    def __call__(self, generation: Generation) -> str:
        """The statement's SQL."""
        ranked = by_words.ranking(generation, "$3", "$4" if self.filtered else None, "$2")
        return f"{ranked}, {_ROWS.format(schema=generation.schema, best='lexical')}"


class Hybrid(msgspec.Struct, frozen=True):
    """Passages by the vector $3 and by the text $4, the two rankings fused."""

    candidates: int
    filtered: bool

    def __call__(self, generation: Generation) -> str:
        """The statement's SQL."""
        filter_, depth = "$5" if self.filtered else None, f"greatest($2, {DEPTH})"
        nearest = by_vector.ranking(generation, self.candidates, filter_, depth)
        ranked = by_words.ranking(generation, "$4", filter_, depth)
        rows = _ROWS.format(schema=generation.schema, best="best")
        return f"{nearest}, {ranked}, {_fusion(depth)}, {rows}"


def dense(collection: str, k: int, vector: bytes, path: str | None = None) -> Question:
    """The documents nearest to a vector (little-endian float16 bytes)."""
    return Question(Dense(by_vector.candidates(k), path is not None), (collection, k, vector, *_bound(path)))


def lexical(collection: str, k: int, text: str, path: str | None = None) -> Question:
    """The documents that have one of the text's words, by how well they match all of them."""
    return Question(Lexical(path is not None), (collection, k, text, *_bound(path)))


def hybrid(collection: str, k: int, vector: bytes, text: str, path: str | None = None) -> Question:
    """The documents that rank best by vector and by text together."""
    return Question(
        Hybrid(by_vector.candidates(max(k, DEPTH)), path is not None), (collection, k, vector, text, *_bound(path))
    )


def collections() -> Question:
    """Every collection that has documents, with its counts."""
    return Question(_collections)


def _collections(generation: Generation) -> str:
    return f"""rows AS (
        SELECT row_number() OVER (ORDER BY collection) AS n, json_build_object(
            'name', collection, 'documents', sum(documents), 'passages', sum(passages)
        ) AS body, NULL AS traceparent
        FROM {generation.schema}.digests GROUP BY collection HAVING sum(documents) > 0
    )"""


def _fusion(depth: str) -> str:
    return _FUSION.format(
        dense=_RANKED.format(source=1, ranking="dense", depth=depth),
        lexical=_RANKED.format(source=2, ranking="lexical", depth=depth),
    )


def _bound(path: str | None) -> tuple[str, ...]:
    return () if path is None else (path,)

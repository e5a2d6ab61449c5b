"""Passages by the cosine of their vectors: by the HNSW index where there are many, and one by one where that is exact
and as quick, or where the index ends short."""

from projections.catalogue import Generation
from projections.passages.filtering import documents, matching, passes

FEW = 1_000
"""Up to so many passages are compared one by one: that is exact, and about as quick as the index is."""
CANDIDATES = 40
"""The fewest passages that the index is asked for: more than `k`, because a document may have several near ones."""

_RANKING = """near AS MATERIALIZED (
    SELECT document_id, ordinal, vector <=> $3 AS distance FROM {schema}.passages AS p
    WHERE NOT ({few}) AND collection = $1 AND {passing}
    ORDER BY vector <=> $3 LIMIT {candidates}
), approximate AS MATERIALIZED (
    SELECT DISTINCT ON (document_id) document_id, ordinal, distance FROM near ORDER BY document_id, distance, ordinal
), exact AS (
    SELECT DISTINCT ON (document_id) document_id, ordinal, vector <=> $3 AS distance FROM {matching}
    AND (SELECT count(*) < {depth} FROM approximate)
    ORDER BY document_id, distance, ordinal
), dense AS (
    SELECT document_id, ordinal, 1 - distance AS score FROM (
        SELECT * FROM approximate WHERE (SELECT count(*) >= {depth} FROM approximate) UNION ALL SELECT * FROM exact
    ) AS found
    ORDER BY score DESC, document_id LIMIT {depth}
)"""


def ranking(generation: Generation, candidates: int, filter_: str | None, depth: str) -> str:
    """The common table expressions of the ranking, the last of them `dense (document_id, ordinal, score)`.

    `filter_` and `depth` are SQL; the collection is $1, the vector $3.
    """
    schema = generation.schema
    return _RANKING.format(
        schema=schema,
        candidates=candidates,
        depth=depth,
        few=_few(schema, filter_),
        passing="true" if filter_ is None else passes(schema, filter_, "p.document_id"),
        matching=matching(schema, filter_),
    )


def candidates(depth: int) -> int:
    """Twice `depth`, in steps, so that there are few statements to keep prepared."""
    asked = CANDIDATES
    while asked < 2 * depth:
        asked *= 2
    return asked


def _few(schema: str, filter_: str | None) -> str:
    """Whether there are at most `FEW` passages (by the documents, where a filter applies) to compare."""
    if filter_ is None:
        return f"SELECT coalesce(sum(passages), 0) <= {FEW} FROM {schema}.digests WHERE collection = $1"
    return f"SELECT count(*) <= {FEW} FROM (SELECT FROM {documents(schema, filter_)} LIMIT {FEW + 1}) AS matching"

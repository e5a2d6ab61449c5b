"""Passages by their words: Okapi BM25, counted by the statement that ranks, from the rows that it ranks.

Nothing is kept for it but the lexemes. How many passages have a word, how often and how long they are is read in the
answer's own snapshot, so that a ranking is exact at its version, after updates and removals too.
"""

from projections.catalogue import Generation
from projections.passages.filtering import passes

FEW = 1_000
"""In a collection of up to so many passages every one is looked at: quicker than an index shared with large ones."""

# k1 and b as Robertson and Zaragoza (2009) give them, and as Lucene has them. Scores are summed as whole billionths:
# a sum of floats would depend on the order in which rows come.
_RANKING = r"""asked AS MATERIALIZED (
    SELECT number, ('''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || '''')::tsquery AS word
    FROM unnest(to_tsvector('{language}'::regconfig, {text})) WITH ORDINALITY
        AS parsed (lexeme, positions, weights, number)
), held AS MATERIALIZED (
    SELECT coalesce(sum(passages), 0)::float8 AS total FROM {schema}.digests WHERE collection = $1
), postings AS MATERIALIZED (
    SELECT number, document_id, ordinal, {occurrences} AS occurrences, length(lexemes) AS length
    FROM asked, {schema}.passages
    WHERE (SELECT total > {few} FROM held) AND lexemes @@ word AND {unindexed} = $1
    UNION ALL
    SELECT number, document_id, ordinal, {occurrences}, length(lexemes)
    FROM {schema}.passages, asked
    WHERE (SELECT total <= {few} FROM held) AND collection = $1 AND {occurrences} > 0
), weighed AS MATERIALIZED (
    SELECT number, ln(1 + (total - count(*) + 0.5) / (count(*) + 0.5)) AS weight
    FROM postings, held GROUP BY number, total
), scored AS MATERIALIZED (
    SELECT document_id, ordinal, sum((
        1e9::float8 * weight * occurrences * 2.2::float8
        / (occurrences + 1.2::float8 * (0.25::float8 + 0.75::float8 * length / mean))
    )::bigint)::bigint AS billionths
    FROM postings JOIN weighed USING (number), (SELECT avg(length)::float8 AS mean FROM postings) AS lengths
    GROUP BY document_id, ordinal
), foremost AS (
    SELECT document_id, billionths FROM (
        SELECT document_id, max(billionths) AS billionths FROM scored
        GROUP BY document_id ORDER BY billionths DESC, document_id OFFSET 0
    ) AS found
    WHERE {passing} LIMIT {depth}
), lexical AS (
    SELECT document_id, min(ordinal) AS ordinal, billionths / 1e9::float8 AS score
    FROM foremost JOIN scored USING (document_id, billionths) GROUP BY document_id, billionths
    ORDER BY score DESC, document_id
)"""

# the cover density of one word, every place weighing 1, is the number of its places
_OCCURRENCES = "ts_rank_cd('{1,1,1,1}', lexemes, word)"
# so that the words' index is taken, whatever the planner guesses of the collection
_UNINDEXED = "(collection || '')"


def ranking(generation: Generation, text: str, filter_: str | None, depth: str) -> str:
    """The common table expressions of the ranking, the last of them `lexical (document_id, ordinal, score)`.

    `text`, `filter_` and `depth` are SQL; the collection is $1. A word weighs what it does in the whole collection,
    so that a filter changes no score; the filter is asked of the best documents until `depth` have passed.
    """
    return _RANKING.format(
        schema=generation.schema,
        language=generation.language,
        text=text,
        depth=depth,
        few=FEW,
        occurrences=_OCCURRENCES,
        unindexed=_UNINDEXED,
        passing="true" if filter_ is None else passes(generation.schema, filter_, "found.document_id"),
    )
